#!/usr/bin/env bash
# Every check of style, types, layers and C. Goes through them all, then fails if one failed.
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=()

check() {
    local name=$1
    shift
    say "lint: $name"
    "$@" || failed+=("$name")
}

python_rooms=()
for room in exo_um posix_x drivers benchmarks examples tools; do
    [ -n "$(find $room -name '*.py' 2>/dev/null | head -1)" ] && python_rooms+=("$room")
done

check ruff $bin/ruff check --quiet .
check "ruff format" $bin/ruff format --check --quiet .
check mypy $bin/mypy --strict "${python_rooms[@]}"
check import-linter $bin/lint-imports

need clang-format clang-format
need clang-tidy clang-tidy
mapfile -t c_files < <(find native tests/native benchmarks -name '*.[ch]' 2>/dev/null)
check clang-format clang-format --dry-run -Werror "${c_files[@]}"

# The compile commands are gcc's; clang refuses one of its options.
tidy() {
    cmake --preset dev >/dev/null &&
        cmake --build --preset dev --target exo_tables >/dev/null || return
    mkdir -p build/lint
    sed 's/-fno-tree-loop-distribute-patterns//' build/dev/compile_commands.json \
        >build/lint/compile_commands.json
    find native/core native/runtime native/host native/python native/launcher native/watch native/malloc native/arch -name '*.c' -print0 |
        xargs -0 -n 4 -P 2 clang-tidy -p build/lint --quiet 2> >(grep -v ' generated\.$' >&2)
}
check clang-tidy tidy

if [ ${#failed[@]} -gt 0 ]; then
    say "lint failed: ${failed[*]}"
    exit 1
fi
say "lint: all good"
