#!/usr/bin/env bash
# require.sh NAME...: makes .venv where there is none, and installs into it what pyproject.toml
# states for `build` or for an extra. Silent on stdout.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

if [ ! -x .venv/bin/python ]; then
    python=$("$PWD/tools/python.sh")
    say "making .venv from $python"
    "$python" -m venv .venv >&2
fi
.venv/bin/python tools/requirements.py "$@" |
    .venv/bin/pip install --quiet --disable-pip-version-check -r /dev/stdin >&2
