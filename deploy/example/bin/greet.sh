#!/bin/sh
# A script of the package: says which version of it runs, and for which shard.
set -eu
version=$(cat "$SHIFTWORK_APP_DIR/VERSION")
echo "example $version greets $SHIFTWORK_SHARDING_PARAMETER in $SHIFTWORK_RUN_ID"
