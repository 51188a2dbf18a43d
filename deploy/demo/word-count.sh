#!/bin/sh
# Counts the words in this shard's part of the text: the first, second or last third of its lines.
# The result is written beside its name and moved there, so that nobody reads half of it.
set -eu
text="$SHIFTWORK_APP_DIR/text.txt"
lines=$(wc -l < "$text")
first=$((lines * SHIFTWORK_ITEM / SHIFTWORK_SHARDING_TOTAL_COUNT + 1))
last=$((lines * (SHIFTWORK_ITEM + 1) / SHIFTWORK_SHARDING_TOTAL_COUNT))
words=$(sed -n "${first},${last}p" "$text" | wc -w)
mkdir -p "$RESULTS"
result="$RESULTS/shard-$SHIFTWORK_ITEM.txt"
printf 'run %s\nattempt %s\npart %s\nlines %s-%s\nwords %s\n' "$SHIFTWORK_RUN_ID" \
    "$SHIFTWORK_ATTEMPT" "$SHIFTWORK_SHARDING_PARAMETER" "$first" "$last" "$words" > "$result.new"
mv "$result.new" "$result"
