#!/bin/sh
# Counts the lines that belong to this shard: every n-th, where n is the number of shards.
set -eu
text="$SHIFTWORK_APP_DIR/text.txt"
count=$(awk -v n="$SHIFTWORK_SHARDING_TOTAL_COUNT" -v item="$SHIFTWORK_ITEM" \
    'NR % n == item { count++ } END { print count + 0 }' "$text")
mkdir -p "$RESULTS"
result="$RESULTS/shard-$SHIFTWORK_ITEM.txt"
printf 'fired %s\nlines %s\n' "$SHIFTWORK_LOGICAL_TIME" "$count" > "$result.new"
mv "$result.new" "$result"
