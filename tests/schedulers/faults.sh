#!/usr/bin/env bash
# Runs a pipeline on a cluster again and again while random things fail, until N faults have happened, and checks that
# every run ends by itself with the digests of a local run.
#
#   tests/schedulers/faults.sh SCHEDULER FLOW FOLDER N SEED
#
# SCHEDULER is `slurm`, `hq`, `sge` or `pbs`: the file of that name beside this one says what it needs and what fails.
# FLOW is the program, FOLDER a new folder that all machines see.
#
# With LATE=SECONDS, the head and each worker of HyperQueue see what the others do in FOLDER that much later: `late.py`
# says what it needs. PYTHON is the interpreter for it.
set -u
scheduler=$1 flow=$2 folder=$3 wanted=$4
RANDOM=$5
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
scripts=$(cd "$(dirname "$0")" && pwd)
executor=$scheduler
hog_memory=200MiB

late=()
[ -z "${LATE:-}" ] || late=(unshare -m --propagation private "${PYTHON:-python3}" "$scripts/late.py" "$LATE" "$folder")

random_line() { shuf -n 1 --random-source=<(yes $RANDOM); }
kill_head() { echo "kill -9 of the head"; kill -9 "$head" 2> /dev/null; }
# A file of the page on clusters, which is what users begin with.
page() {
    awk -v mark="<!-- file: $1 -->" '/^```/ { if (open) exit; if (marked) { open = 1; next } }
        open; { marked = ($0 == mark) }' "$scripts/../../docs/cluster.md"
}
. "$scripts/$scheduler.sh"

pipeline() {
    mkdir -p "$1/profiles"
    cat > "$1/p.toml" <<TOML
[pipeline]
name = "faults"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 60
positives = 20
unlabelled = 20
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.hog]
use = "command"
run = ["python3", "hog.py", "{out}"]
files = ["hog.py"]
outputs = { out = "o.csv" }
resources = { memory = "$hog_memory" }
[stages.nap]
use = "command"
run = ["sh", "-c", "sleep 3; echo {n} > {out}"]
each = { n = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] }
outputs = { out = "o.csv" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
[stages.model]
use = "model"
inputs = { features = "domain", folds = "folds" }
rounds = 20
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
TOML
    cat > "$1/hog.py" <<'PY'
import sys, time
held = bytearray(350 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(8)
open(sys.argv[1], "w").write("held\n")
PY
    cat > "$1/profiles/here.toml" <<TOML
[executor]
use = "$executor"
task_minutes = 0.2
ask_seconds = 4
visible_seconds = 10
$(profile "$1")
[retry]
node_failure = 50
preempted = 50
cancelled = 50
failed = 50
time_limit = { times = 50, time = 1.0 }
TOML
}

# The digests of all outputs, by stage and action.
digests() {
    grep '"event":"action-finished"' "$1" | sed -E 's/.*"stage":"([^"]*)","action":"([^"]*)".*"outputs":(\{[^}]*\}).*/\1 \2 \3/' | sort -u
}

begin
pipeline "$folder/local"
(cd "$folder/local" && "$flow" run p.toml -q --message-format json > run.json) || exit 1
digests "$folder/local/run.json" > "$folder/wanted"

faults=0 runs=0 wrong=0 stuck=0
while [ "$faults" -lt "$wanted" ]; do
    here=$folder/run$runs
    pipeline "$here"
    cd "$here" || exit 1
    : > all.json
    begun=$SECONDS
    while :; do
        "${late[@]}" "$flow" run p.toml --profile here --message-format json > now.json 2>> err.txt &
        head=$!
        while kill -0 "$head" 2> /dev/null; do
            sleep $((1 + RANDOM % 4))
            if [ "$faults" -lt "$wanted" ] && [ $((SECONDS - begun)) -lt 90 ] && kill -0 "$head" 2> /dev/null; then
                fault >> faults.txt
                faults=$((faults + 1))
            fi
        done
        wait "$head"
        code=$?
        cat now.json >> all.json
        [ "$code" = 0 ] && break
        # A head that was killed is started again. Any other end is one that a person would have to deal with.
        [ "$code" = 137 ] || { echo "run $runs ended with $code" >> "$folder/trouble"; stuck=$((stuck + 1)); break; }
    done
    digests all.json > found
    cmp -s found "$folder/wanted" || { echo "run $runs has other digests" >> "$folder/trouble"; wrong=$((wrong + 1)); }
    left=$("$flow" jobs | head -1)
    echo "run $runs: $((SECONDS - begun)) s, $(wc -l < faults.txt) faults, $(grep -c batch-submitted all.json) batches, then: $left"
    heal
    runs=$((runs + 1))
done
end
echo "$faults faults in $runs runs: $wrong with wrong digests, $stuck that needed a person"
[ "$wrong" = 0 ] && [ "$stuck" = 0 ]
