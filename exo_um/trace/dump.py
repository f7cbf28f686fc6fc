"""What -e read= and -e write= show: all that a call has moved, in hexadecimal and as text."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

READS = {"read", "pread64", "recvfrom", "mq_timedreceive"}
WRITES = {"write", "pwrite64", "sendto", "mq_timedsend"}
READS_VECTORS = {"readv", "preadv", "preadv2"}
WRITES_VECTORS = {"writev", "pwritev", "pwritev2", "vmsplice"}
LINE = 16
Fds = tuple[bool, frozenset[int]]  # whether all but those are meant, and which


def is_in(fds: Fds, number: int) -> bool:
    """Whether a set has a descriptor."""
    return (number in fds[1]) != fds[0]


def dump_of(view: View, read: Fds, write: Fds) -> str:
    """Return the lines that follow a call's; none where nothing is asked for."""
    fd, size = view.i32(0), max(view.result or 0, 0)
    if is_in(read, fd) and not view.failed:
        if view.name in READS:
            return _bytes(view.after, view.args[1], size)
        if view.name in READS_VECTORS:
            return _vectors(view.after, view.args[1], view.args[2], size)
        if view.name == "recvmsg":
            return _message(view.after, view.args[1], size)
    if is_in(write, fd):
        if view.name in WRITES:
            return _bytes(view.before, view.args[1], view.args[2])
        if view.name in WRITES_VECTORS:
            return _vectors(view.before, view.args[1], view.args[2], None)
        if view.name == "sendmsg":
            return _message(view.before, view.args[1], None)
    return ""


def _bytes(memory: Memory, at: int, size: int) -> str:
    data = memory.peek(at, size) if at and size else b""
    return "".join(_lines(data))


def _lines(data: bytes) -> Iterator[str]:
    for place in range(0, len(data), LINE):
        part = data[place : place + LINE]
        words = [f"{byte:02x}" for byte in part]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        halves = f"{' '.join(words[:8]):<23}  {' '.join(words[8:]):<23}"
        yield f" | {place:05x}  {halves}  {shown:<16} |\n"


def _vectors(memory: Memory, at: int, count: int, left: int | None) -> str:
    data = memory.peek(at, 16 * min(count, 1024)) if at else b""
    shown = []
    for i, (base, size) in enumerate(struct.iter_unpack("<QQ", data[: len(data) // 16 * 16])):
        here = size if left is None else min(size, left)
        left = None if left is None else left - here
        if here:
            shown.append(f" * {here} bytes in buffer {i}\n{_bytes(memory, base, here)}")
    return "".join(shown)


def _message(memory: Memory, at: int, left: int | None) -> str:
    data = memory.peek(at + 16, 16)
    base, count = struct.unpack("<QQ", data) if len(data) == 16 else (0, 0)
    return _vectors(memory, base, count, left)
