"""Decodes system calls into strace's words, from the call table and what memory held.

line.decode() is the way in. Importing this package registers what strace writes in ways of its
own.
"""

from posix_x.decode import (
    bpf,
    clocks,
    control,
    files,
    ioctls,
    ipc,
    keys,
    mounts,
    obsolete,
    others,
    poll,
    processes,
    quota,
    results,
    rings,
    sched,
    signals,
    sockets,
    structs,
    tracee,
)

__all__ = [
    "bpf",
    "clocks",
    "control",
    "files",
    "ioctls",
    "ipc",
    "keys",
    "mounts",
    "obsolete",
    "others",
    "poll",
    "processes",
    "quota",
    "results",
    "rings",
    "sched",
    "signals",
    "sockets",
    "structs",
    "tracee",
]
