#!/usr/bin/env bash
# Measures how often `flow check` raises a false alarm, and how often it catches a planted drop. docs/ci.md has
# the figures.
#
#   benches/gate/run.sh FOLDER      (takes about 20 CPU minutes; what FOLDER has already is kept)
#
# There are ten demo surveys of 1,500 objects, 150 of which are positive. All seeds are fixed here. Each survey
# has 25 repeats of one model, from which pairs of 8, 5 and 1 repeats are drawn. The sides of a pair differ in
# the deal of the folds and in the seed of the learner. 300 pairs are null changes. In 100 more pairs, a worse
# model is mixed in, so that average precision falls by 0.05. Surveys 1 to 12 are not among the ten: the default
# rate was chosen on the first two, and eight repeats were chosen after five had been measured on the others.
#
# Then it runs the command itself on survey 13, with 20 other seeds, and with 20 seeds of a model that is worse
# by 0.05 (fewer rounds of a lower depth, calibrated on survey 1).
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
flow=${FLOW:-target/release/flow}
gate=${GATE:-target/release/examples/gate}
pipeline=benches/gate/pipeline.toml
store=(--store "$folder/store")
much_worse=(--set model.rounds=20 --set model.max_depth=2)
worse=(--set model.rounds=35 --set model.max_depth=3)

predictions() { # FILE REPEATS OPTION...
    local file=$folder/$1
    [ -e "$file" ] && return
    "$flow" run "$pipeline" "${store[@]}" -q --to model --set "folds.repeats=$2" "${@:3}"
    "$flow" export last model.predictions -o "$file" "${store[@]}"
}

for survey in {13..22}; do
    predictions "$survey.base.parquet" 25 --set "ingest.seed=$survey"
    predictions "$survey.drop.parquet" 16 --set "ingest.seed=$survey" --set folds.seed=9 --set model.seed=9 "${much_worse[@]}"
done
for repeats in 8 5 1; do
    echo "== $repeats repeats"
    "$gate" $repeats "$folder"
done

check() { "$flow" check "$pipeline" "${store[@]}" -q --baseline "$folder/baseline.toml" --set ingest.seed=13 "$@"; }
count() { # TITLE OPTION...
    local failed=0 code
    for seed in $(seq 1001 1020); do
        code=0
        check --set "folds.seed=$seed" --set "model.seed=$seed" "${@:2}" > /dev/null 2> "$folder/stderr" || code=$?
        case $code in
        0) ;;
        3) failed=$((failed + 1)) ;;
        *) cat "$folder/stderr" >&2 && exit $code ;;
        esac
    done
    echo "flow check, $1: $failed of 20 end with exit code 3"
}
check --update
count "other seeds"
count "the worse model" "${worse[@]}"
ls -l "$folder/baseline.toml"
