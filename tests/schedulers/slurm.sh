# What `faults.sh` needs to know of Slurm.
#
# A partition `urgent` preempts the default one. FAKETIME_LIB, if it is set, is libfaketime: the clock of the second node
# is then three hours ahead.

mapfile -t nodes < <(sinfo -h -N -o %N | sort -u)

. "$scripts/machines.sh"

profile() {
    cat <<TOML
memory = "150MiB"
before = ["[ -z '${FAKETIME_LIB:-}' ] || [ \$(hostname) != ${nodes[1]} ] || export LD_PRELOAD=${FAKETIME_LIB:-} FAKETIME=+3h FAKETIME_DONT_FAKE_MONOTONIC=1"]
TOML
}

random_job() { squeue -h -r --name="$(squeue -h -o %j | grep '^flow-' | sort -u | paste -sd,)" -o %i 2> /dev/null | random_line; }

fault() {
    local job
    case $((RANDOM % 7)) in
    0) power_cut ;;
    1) job=$(random_job); echo "cancel of job ${job:-none}"; [ -z "$job" ] || scancel "$job" ;;
    2) echo "preemption"; sbatch -Q -p urgent -N 1 -n 2 --time=1 --output=/dev/null --wrap 'sleep 2' > /dev/null ;;
    3) kill_head ;;
    4) network_cut ;;
    5) job=$(random_job); echo "time limit of job ${job:-none}"; [ -z "$job" ] || scontrol update "jobid=$job" timelimit=0:01 2> /dev/null ;;
    6) controller_away ;;
    esac
}
