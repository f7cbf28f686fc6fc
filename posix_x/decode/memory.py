"""What a decoder reads of a program's memory: snippets that were recorded, or the live one."""

from __future__ import annotations

import os
from typing import Protocol

PAGE = 4096
PATH_LIMIT = 4095


class Memory(Protocol):
    """Memory that may be missing or cut short."""

    def peek(self, address: int, size: int) -> bytes:
        """Return up to size bytes from address on; fewer, or none, where the rest is not known."""


class Snippets:
    """Pieces of memory, as they were copied while a call was being made."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: list[tuple[int, bytes]]) -> None:
        """Take pieces, address and bytes; of two that overlap the later one says more."""
        self._pieces = pieces

    def peek(self, address: int, size: int) -> bytes:
        """Return what the pieces have from address on, one behind the other."""
        best = self._longest(address, size)
        if not best or len(best) == size:
            return best
        parts, rest = [best], size - len(best)
        while best and rest:
            address += len(best)
            best = self._longest(address, rest)
            parts.append(best)
            rest -= len(best)
        return b"".join(parts)

    def above(self, address: int) -> dict[int, bytes]:
        """Return the pieces that begin at address or above, the later where two do at one place."""
        return {start: data for start, data in self._pieces if start >= address}

    def _longest(self, address: int, size: int) -> bytes:
        best = b""
        for start, data in self._pieces:
            if start <= address < start + len(data):
                found = data[address - start : address - start + size]
                if len(found) >= len(best):
                    best = found
        return best


class Layered:
    """Pieces over other memory, which may have changed since."""

    __slots__ = ("_below", "_pieces")

    def __init__(self, pieces: Snippets, below: Memory) -> None:
        """Look at pieces first."""
        self._pieces = pieces
        self._below = below

    def peek(self, address: int, size: int) -> bytes:
        """Return what the pieces have, or what is below."""
        found = self._pieces.peek(address, size)
        return found if len(found) == size else self._below.peek(address, size)


class Live:
    """The memory of a stopped process, by process_vm_readv(2) or what stands in /proc."""

    __slots__ = ("_fd",)

    def __init__(self, pid: int) -> None:
        """Open a process's memory. Errors: OSError, it is gone or not ours to read."""
        self._fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def peek(self, address: int, size: int) -> bytes:
        """Read page by page until one is not there."""
        parts: list[bytes] = []
        while size > 0 and 0 < address < 1 << 63:
            step = min(size, PAGE - address % PAGE)
            try:
                part = os.pread(self._fd, step, address)
            except OSError:
                break
            parts.append(part)
            if len(part) < step:
                break
            address += step
            size -= step
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._fd)


def string(memory: Memory, address: int, limit: int) -> tuple[bytes, bool] | None:
    """Return the bytes of a string, and whether its end was found; None where nothing is."""
    parts = b""
    while len(parts) <= limit:
        step = min(limit + 1 - len(parts), PAGE - (address + len(parts)) % PAGE)
        got = memory.peek(address + len(parts), step)
        end = got.find(b"\0")
        if end >= 0:
            return (parts + got[:end])[:limit], len(parts) + end <= limit
        parts += got
        if len(got) < step:
            return (parts[:limit], False) if parts else None
    return parts[:limit], False
