#!/usr/bin/env bash
# What exo-um weighs: the loader's segments, and the source files that have grown too long.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=250

guest=$(find .venv -path '*/exo_um/_native/exo-guest' | head -1)
echo "exo-guest (bytes in memory; debug information is not loaded):"
size "$guest" | awk '{ printf "  %8s %8s %8s\n", $1, $2, $3 }'

echo "source files over $limit lines:"
find native exo_um posix_x drivers benchmarks tests tools -name '*.py' -o -name '*.[chS]' \
    -o -name '*.sh' 2>/dev/null | xargs wc -l | awk -v limit=$limit \
    '$2 != "total" && $1 > limit { printf "  %6d  %s\n", $1, $2; n++ } END { if (!n) print "  none" }'
