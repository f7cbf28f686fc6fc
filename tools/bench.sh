#!/usr/bin/env bash
# bench.sh [JOB...]: runs the benchmarks, with the contenders that can be installed, and draws the
# charts of docs/charts.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."
flock build/.lock tools/require.sh bench
tools/busybox.sh
packages=$(sed 's/#.*//' benchmarks/packages.txt | tr '\n' ' ')
# shellcheck disable=SC2086
if can_apt && ! dpkg -s $packages >/dev/null 2>&1; then
    apt_install $packages || say "not all contenders could be installed: $packages"
fi
exec .venv/bin/python -m benchmarks --charts docs/charts "$@"
