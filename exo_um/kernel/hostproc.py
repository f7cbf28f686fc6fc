"""Reads the host's /proc, for the reaper, for credentials, and for guests' /proc."""

from __future__ import annotations

import os


def read_file(path: str | bytes) -> bytes:
    """Return the contents of a file of the host's /proc."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def stat_fields(host_pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third, the state, on; empty if it is gone."""
    try:
        return read_file(f"/proc/{host_pid}/stat").rpartition(b") ")[2].split()
    except OSError:
        return []


def parent_of(host_pid: int) -> int:
    """Return the host pid of a process's parent, 0 if it is gone."""
    return int((stat_fields(host_pid) or [b"", b"0"])[1])


def children() -> list[int]:
    """Return the host pids of this process's children."""
    pid = os.getpid()
    try:
        return [int(word) for word in read_file(f"/proc/self/task/{pid}/children").split()]
    except FileNotFoundError:  # the host was built without CONFIG_PROC_CHILDREN
        with os.scandir("/proc") as entries:
            pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
        return [child for child in pids if parent_of(child) == pid]
