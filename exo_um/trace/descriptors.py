"""What -y shows of a descriptor: the path of a file, a socket's or a pipe's inode."""

from __future__ import annotations

from pathlib import Path


def fd_text(tid: int, fd: int) -> str:
    """Return <path> for a descriptor of a host task, nothing where that is not known."""
    try:
        path = Path(f"/proc/{tid}/fd/{fd}").readlink()
    except OSError:
        return ""
    return f"<{path}>"
