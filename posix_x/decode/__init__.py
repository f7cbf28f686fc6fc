"""Decodes system calls into strace's words, from the call table and what memory held.

line.decode() is the way in. Importing this package registers what strace writes in ways of its
own.
"""

from posix_x.decode import files, ipc, others, poll, processes, results, signals, sockets, structs

__all__ = [
    "files",
    "ipc",
    "others",
    "poll",
    "processes",
    "results",
    "signals",
    "sockets",
    "structs",
]
