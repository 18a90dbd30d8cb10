# What `faults.sh` needs to know of HyperQueue. It starts a server with a journal and three workers of its own, and stops
# them at the end. All that is needed is `hq` on the path.

begin() {
    place=$folder/hq
    mkdir -p "$place"
    export HQ_SERVER_DIR=$place/server
    heal
}

profile() { :; }

# Whether the process whose number is in a file runs.
lives() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2> /dev/null; }

start_server() {
    [ ! -e "$place/over" ] || return
    ! lives "$place/server.pid" || return
    setsid hq server start --host localhost --journal "$place/journal" --journal-flush-period 1s \
        >> "$place/server.log" 2>&1 < /dev/null &
    echo $! > "$place/server.pid"
}

# A worker that loses its server ends, so workers are looked after as long as the faults go on.
start_worker() {
    [ ! -e "$place/over" ] || return
    ! lives "$place/worker$1.pid" || return
    setsid "${late[@]}" hq worker start --cpus 2 --detect-resources none --resource "mem=sum(2000)" --heartbeat 2s \
        >> "$place/worker$1.log" 2>&1 < /dev/null &
    echo $! > "$place/worker$1.pid"
}

heal() {
    start_server
    for _ in $(seq 50); do
        hq worker list > /dev/null 2>&1 && break
        sleep 0.2
    done
    for number in 1 2 3; do
        # It may have been stopped by a fault.
        ! lives "$place/worker$number.pid" || kill -CONT "$(cat "$place/worker$number.pid")"
        start_worker $number
    done
}

random_job() { hq --output-mode=quiet job list 2> /dev/null | cut -d' ' -f1 | random_line; }

fault() {
    local number worker job task
    number=$((1 + RANDOM % 3))
    lives "$place/worker$number.pid" || { heal; echo "worker $number had lost its server"; return; }
    worker=$(cat "$place/worker$number.pid")
    case $((RANDOM % 6)) in
    0) echo "kill -9 of worker $number"; kill -9 "$worker" 2> /dev/null; (sleep $((1 + RANDOM % 8)); start_worker $number) & ;;
    1) job=$(random_job); echo "cancel of job ${job:-none}"; [ -z "$job" ] || hq --output-mode=quiet job cancel "$job" 2> /dev/null ;;
    2) task=$(pgrep -x "sh|$(basename "$flow")" -P "$(cat "$place"/worker*.pid | paste -sd,)" | random_line); echo "kill -9 of task process ${task:-none}"; [ -z "$task" ] || kill -9 "$task" 2> /dev/null ;;
    3) kill_head ;;
    # The server takes it for lost, and its tasks run on.
    4) echo "worker $number stands still"; kill -STOP "$worker"; (sleep $((4 + RANDOM % 12)); kill -CONT "$worker" 2> /dev/null; sleep 1; start_worker $number) & ;;
    5) echo "kill -9 of the server"; kill -9 "$(cat "$place/server.pid")" 2> /dev/null; (sleep $((1 + RANDOM % 5)); heal) & ;;
    esac
}

end() {
    : > "$place/over"
    hq server stop
    for file in "$place"/*.pid; do
        ! lives "$file" || kill "$(cat "$file")"
    done
}
