"""openat2(2), which Python has not: opening below a directory, and never outside."""

from __future__ import annotations

import os

from exo_um.bindings import ffi, lib


def open_beneath(directory: int, path: str | bytes, flags: int, mode: int) -> int:
    """Open path below a directory, and return the fd.

    Errors: EXDEV, it leads out; ELOOP, through a magic link of /proc; ENOSYS, a host before 5.6.
    """
    name = os.fsencode(path)
    fd = int(lib.exo_host_open_beneath(directory, ffi.from_buffer(name + b"\0"), flags, mode))
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd), path)
    return fd
