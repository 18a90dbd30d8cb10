#!/usr/bin/env bash
# Applies each of tests/mutations/*.patch to a copy of the program, and checks that the tests named in the
# patch notice. Arguments select patches: tests/mutations.sh sync-output
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
copy=$target/mutations
# The copies share a target folder, so that the dependencies are built only once.
export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=1 RUST_BACKTRACE=0

rm -rf "$copy/tree"
mkdir -p "$copy/tree"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$copy/tree"
cd "$copy/tree"

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for patch in "$root"/tests/mutations/*.patch; do
        names+=("$(basename "$patch" .patch)")
    done
fi

survived=0
for name in "${names[@]}"; do
    patch=$root/tests/mutations/$name.patch
    # The first word that is not an option filters the tests.
    read -ra tests <<<"$(sed -n 's/^Tests: //p' "$patch")"
    if ! patch -p1 -s -F1 --no-backup-if-mismatch <"$patch"; then
        echo "$name: the patch no longer applies: renew it"
        exit 2
    fi
    if ! cargo test -q --workspace --locked "${tests[@]}" --no-run >"$copy/log" 2>&1; then
        echo "$name: does not compile"
        cat "$copy/log"
        exit 2
    fi
    # A test that waits for ever has noticed, too.
    if timeout 300 cargo test -q --workspace --locked "${tests[@]}" >"$copy/log" 2>&1; then
        echo "$name: SURVIVED"
        survived=$((survived + 1))
    else
        noticed=$(sed -n 's/^    \([a-z_0-9:]*\)$/\1/p' "$copy/log" | sort -u | paste -sd, | sed 's/,/, /g')
        echo "$name: noticed by ${noticed:-a test that does not end}"
    fi
    patch -p1 -s -R -F1 --no-backup-if-mismatch <"$patch"
done
if [ "$survived" -gt 0 ]; then
    echo "$survived of ${#names[@]} mutations survived"
    exit 1
fi
echo "all ${#names[@]} mutations were noticed"
