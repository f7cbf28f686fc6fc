#!/usr/bin/env bash
# Formats Python and C in place, and applies ruff's safe fixes.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

.venv/bin/ruff check --quiet --fix-only .
.venv/bin/ruff format --quiet .
need clang-format clang-format
find native tests/native benchmarks -name '*.[ch]' -print0 2>/dev/null |
    xargs -0 -r clang-format -i
