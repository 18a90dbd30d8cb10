# What `faults.sh` needs to know of Grid Engine, beside the template of docs/cluster.md. A program that gets no more memory
# ends by itself there, so the hog asks for enough.

executor=command
hog_memory=2GiB
mapfile -t nodes < <(qconf -sel)
. "$scripts/machines.sh"

profile() {
    page profiles/sge-status.sh > "$1/profiles/sge-status.sh"
    page profiles/sge.toml | grep -vE '^(\[executor\]|use|memory) ?'
    echo 'memory = "1GiB"'
}

random_task() { qstat -g d | awk '$3 ~ /^flow-/ { print $1 "." $NF }' | random_line; }

fault() {
    local task
    task=$(random_task)
    case $((RANDOM % 6)) in
    0) power_cut ;;
    1) echo "cancel of task ${task:-none}"; [ -z "$task" ] || qdel "$task" ;;
    2) echo "cancel of job ${task%.*}"; [ -z "$task" ] || qdel "${task%.*}" ;;
    3) kill_head ;;
    4) network_cut ;;
    5) controller_away ;;
    esac
}
