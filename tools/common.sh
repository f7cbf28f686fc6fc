# Shell functions that the scripts of this folder share; sourced, never run.
# shellcheck shell=bash

say() { echo "exo-um: $*" >&2; }
die() { say "$*"; exit 2; }

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    local options=(-y -qq --no-install-recommends -o Dpkg::Use-Pty=0)
    # The package lists may be absent (a bare image) or older than the archive.
    apt-get install "${options[@]}" "$@" >/dev/null 2>&1 ||
        { apt-get update -qq >&2 && apt-get install "${options[@]}" "$@" >&2; }
}

# need COMMAND PACKAGE: sees to COMMAND, from Debian's PACKAGE where that is allowed.
need() {
    command -v "$1" >/dev/null && return
    can_apt && apt_install $2 # several words are several packages
    command -v "$1" >/dev/null || die "$1 is missing: install it (Debian: apt-get install $2)"
}

# In CI a missing part is a failure; elsewhere it is worth a line.
missing() {
    say "$*"
    [ "${CI:-}" != true ]
}
