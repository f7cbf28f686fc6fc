"""Decodes system calls into strace's words, from the call table and what memory held.

line.decode() is the way in. Importing this package registers what strace writes in ways of its
own.
"""

from posix_x.decode import (
    bpf,
    control,
    files,
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
    signals,
    sockets,
    structs,
    tracee,
)

__all__ = [
    "bpf",
    "control",
    "files",
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
    "signals",
    "sockets",
    "structs",
    "tracee",
]
