# sum.sh OUT FILE...: the lines of all files in order, then the sum of their third words.
out=$1
shift
cat "$@" > "$out"
awk '{ sum += $3 } END { print "sum", sum }' "$@" >> "$out"
