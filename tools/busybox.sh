#!/usr/bin/env bash
# Sees to /bin/busybox, the program that `make run` starts.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ -x /bin/busybox ] && exit
can_apt && apt_install busybox-static
[ -x /bin/busybox ] ||
    die "/bin/busybox is missing: install it (Debian: apt-get install busybox-static)"
