# Faults of machines, for schedulers whose daemons somebody else has started.
#
# NODE is a command that takes `start`, `kill9`, `partition` or `heal` and the name of a machine. If CONTROLLER is set,
# it is a command that takes `kill` or `start` for the daemon that gives tasks to machines.

begin() {
    [ ${#nodes[@]} -ge 2 ] || { echo "$scheduler tells of ${#nodes[@]} machines, and two are needed"; exit 4; }
}

random_node() { echo "${nodes[RANDOM % ${#nodes[@]}]}"; }

power_cut() {
    local node
    node=$(random_node)
    echo "power cut of $node"
    $NODE kill9 "$node"
    (sleep $((3 + RANDOM % 20)); $NODE start "$node") &
}

network_cut() {
    local node
    node=$(random_node)
    echo "network of $node cut"
    $NODE partition "$node"
    (sleep $((5 + RANDOM % 25)); $NODE heal "$node") &
}

controller_away() {
    echo "controller away"
    [ -n "${CONTROLLER:-}" ] || return
    $CONTROLLER kill
    (sleep $((2 + RANDOM % 8)); $CONTROLLER start) &
}

heal() {
    for node in "${nodes[@]}"; do
        $NODE heal "$node"
        $NODE start "$node"
    done
    [ -z "${CONTROLLER:-}" ] || $CONTROLLER start
}

end() { wait; }
