# What `faults.sh` needs to know of OpenPBS, beside the template of docs/cluster.md. The machines have `$enforce mem` in
# their configuration.

executor=command
mapfile -t nodes < <(pbsnodes -a | grep '^[^ ]')
. "$scripts/machines.sh"

profile() {
    page profiles/pbs-status.sh > "$1/profiles/pbs-status.sh"
    page profiles/pbs.toml | grep -vE '^(\[executor\]|use|memory) ?'
    echo 'memory = "150MiB"'
}

random_task() { qstat -t | awk '$2 ~ /^flow-/ && $1 ~ /\[[0-9]/ && $5 ~ /[QR]/ { print $1 }' | random_line; }

fault() {
    local task
    task=$(random_task)
    case $((RANDOM % 7)) in
    0) power_cut ;;
    1) echo "cancel of task ${task:-none}"; [ -z "$task" ] || qdel "$task" ;;
    2) echo "cancel of the job of task ${task:-none}"; [ -z "$task" ] || qdel "${task/\[*\]/[]}" ;;
    3) kill_head ;;
    4) network_cut ;;
    5) controller_away ;;
    6) echo "task ${task:-none} starts again"; [ -z "$task" ] || qrerun "$task" ;;
    esac
}
