# What `faults.sh` needs to know of Slurm.
#
# SLURM_NODE is a command that takes `start`, `kill9`, `partition` or `heal` and the name of a node. If CONTROLLER is
# set, it is a command that takes `kill` or `start` for slurmctld. A partition `urgent` preempts the default one.
# FAKETIME_LIB, if it is set, is libfaketime: the clock of the second node is then three hours ahead.

mapfile -t nodes < <(sinfo -h -N -o %N | sort -u)

begin() {
    [ ${#nodes[@]} -ge 2 ] || { echo "sinfo tells of ${#nodes[@]} nodes, and two are needed"; exit 4; }
}

profile() {
    cat <<TOML
memory = "150MiB"
before = ["[ -z '${FAKETIME_LIB:-}' ] || [ \$(hostname) != ${nodes[1]} ] || export LD_PRELOAD=${FAKETIME_LIB:-} FAKETIME=+3h FAKETIME_DONT_FAKE_MONOTONIC=1"]
TOML
}

random_node() { echo "${nodes[RANDOM % ${#nodes[@]}]}"; }
random_job() { squeue -h -r --name="$(squeue -h -o %j | grep '^flow-' | sort -u | paste -sd,)" -o %i 2> /dev/null | random_line; }

fault() {
    local node job
    node=$(random_node)
    case $((RANDOM % 7)) in
    0) echo "power cut of $node"; $SLURM_NODE kill9 "$node"; (sleep $((3 + RANDOM % 20)); $SLURM_NODE start "$node") & ;;
    1) job=$(random_job); echo "cancel of job ${job:-none}"; [ -z "$job" ] || scancel "$job" ;;
    2) echo "preemption"; sbatch -Q -p urgent -N 1 -n 2 --time=1 --output=/dev/null --wrap 'sleep 2' > /dev/null ;;
    3) kill_head ;;
    4) echo "network of $node cut"; $SLURM_NODE partition "$node"; (sleep $((5 + RANDOM % 25)); $SLURM_NODE heal "$node") & ;;
    5) job=$(random_job); echo "time limit of job ${job:-none}"; [ -z "$job" ] || scontrol update "jobid=$job" timelimit=0:01 2> /dev/null ;;
    6) echo "controller away"; [ -z "${CONTROLLER:-}" ] || { $CONTROLLER kill; (sleep $((2 + RANDOM % 8)); $CONTROLLER start) & } ;;
    esac
}

heal() {
    for node in "${nodes[@]}"; do
        $SLURM_NODE heal "$node"
        $SLURM_NODE start "$node"
    done
    [ -z "${CONTROLLER:-}" ] || $CONTROLLER start
}

end() { wait; }
