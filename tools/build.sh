#!/usr/bin/env bash
# Builds exo-um and installs it into .venv. The build folder stays, so that after a change only
# what depends on it is compiled again. Silent on stdout.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

need gcc "gcc libc6-dev"
need cmake cmake
need make make

say "building"
# Everything needed is there already: --no-index keeps the build from fetching.
PIP_ROOT_USER_ACTION=ignore .venv/bin/pip install --quiet --disable-pip-version-check \
    --no-build-isolation --no-deps --no-index . >&2
