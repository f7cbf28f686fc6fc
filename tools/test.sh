#!/usr/bin/env bash
# All tests, from the inside out: unit, native under sanitizers, then those that start guests, as
# the current user and, when that is root, once more as an ordinary one. Extra arguments go to
# pytest. The build is up to date when this starts (see the Makefile).
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."
failed=()
# Much of the time of what starts guests is waiting: two workers, whatever the machine has.
two=(-n 2 --dist loadgroup)

check() {
    local name=$1
    shift
    say "test: $name"
    "$@" || failed+=("$name")
}

# python_tests NAME FOLDER [OPTION...]: runs the tests in FOLDER, where there are some.
python_tests() {
    local name=$1 folder=$2
    shift 2
    if [ -z "$(find "$folder" -name 'test_*.py' 2>/dev/null | head -1)" ]; then
        check "$name" missing "no tests in $folder"
        return
    fi
    check "$name" .venv/bin/pytest -q "$folder" "$@"
}

native_tests() {
    cmake --preset "$1" >/dev/null && cmake --build --preset "$1" --parallel "$(nproc)" >/dev/null &&
        ctest --preset "$1" --parallel "$(nproc)" --no-tests=error
}

prepare() {
    flock build/.lock tools/require.sh test || die "the tests' requirements cannot be installed"
    tools/busybox.sh || exit
    need setarch util-linux
    local packages
    packages=$(sed 's/#.*//' tests/system/packages.txt 2>/dev/null | tr '\n' ' ')
    [ -z "${packages// /}" ] && return
    if can_apt; then
        # dpkg answers faster than apt, and without a network.
        # shellcheck disable=SC2086
        dpkg -s $packages >/dev/null 2>&1 || apt_install $packages ||
            check "packages" missing "not all of these packages could be installed: $packages"
    fi
}

prepare
python_tests "unit" tests/unit "$@"
if [ -n "$(find tests/native -name '*.c' 2>/dev/null | head -1)" ]; then
    for preset in dev asan tsan; do
        check "native ($preset)" native_tests "$preset"
    done
else
    check "native" missing "no tests in tests/native"
fi
python_tests "guest" tests/guest "${two[@]}" "$@"
python_tests "system" tests/system "${two[@]}" "$@"
if [ "$(id -u)" = 0 ]; then # static programs meet nothing there that dynamic ones do not
    python_tests "guest, as nobody" tests/guest --as-user nobody -k "dynamic and not test_native" \
        "${two[@]}" "$@"
    python_tests "system, as nobody" tests/system --as-user nobody -m "not any_user" "${two[@]}" "$@"
fi

python_tests "conformance, a part" tests/conformance "${two[@]}" "$@"

if [ ${#failed[@]} -gt 0 ]; then
    say "tests failed: ${failed[*]}"
    exit 1
fi
say "test: all good"
