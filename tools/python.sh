#!/usr/bin/env bash
# Prints the path of the Python interpreter to make .venv from: 3.11 or later, with venv, pip and
# headers. $PYTHON is asked first, then the distribution's, then what is on PATH.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# A name on PATH may be a version switcher's script that costs 100 ms: ask for the real one.
# As root, take one that other users can run too: `make test` starts guests as nobody.
probe='
import ensurepip, os, pathlib, sys, sysconfig, venv
path = pathlib.Path(sys.executable).resolve()
ok = sys.version_info >= (3, 11) and os.path.exists(sysconfig.get_paths()["include"] + "/Python.h")
if ok and "shared" in sys.argv and os.geteuid() == 0:
    ok = all(part.stat().st_mode & 1 for part in (path, *path.parents))
print(sys.executable)
sys.exit(not ok)
'

find_python() {
    local name path
    for name in ${PYTHON:-/usr/bin/python3 python3 python3.{11..19}}; do
        path=$("$name" -c "$probe" "$@" 2>/dev/null) && echo "$path" && return
    done
    return 1
}

find_python shared && exit
if can_apt && [ -z "${PYTHON:-}" ]; then
    apt_install python3 python3-venv python3-dev
    find_python shared && exit
fi
find_python && exit
die "no Python 3.11 or later with venv, pip and headers found" \
    "(Debian: apt-get install python3-venv python3-dev; or set PYTHON)"
