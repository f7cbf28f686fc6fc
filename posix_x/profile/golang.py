"""A Go program's own table of functions (.gopclntab, 1.18 and later): whose, and what frames.

Go writes no .eh_frame, but how far the stack pointer is from the caller's at each instruction.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING

from posix_x.profile.callers import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGICS = (0xFFFFFFF0, 0xFFFFFFF1)
RETURN_SIZE = 8


class GoTable:
    """The table; addresses are the file's own. Of another version's nothing is known."""

    def __init__(self, table: bytes) -> None:
        """Take the section. Errors: struct.error, it is damaged."""
        self._table = table
        self._starts: list[int] = []
        self._at: list[int] = []
        magic, _, _, self._step, size = struct.unpack_from("<IBBBB", table)
        if magic not in MAGICS or size != 8:
            return
        count, _, text, self._names, _, _, self._deltas, places = struct.unpack_from(
            "<8Q", table, 8
        )
        rows = struct.iter_unpack("<II", table[places : places + 8 * count])
        for start, at in rows:
            self._starts.append(text + start)
            self._at.append(places + at)
        (end,) = struct.unpack_from("<I", table, places + 8 * count)
        self._end = text + end

    def _find(self, address: int) -> int | None:
        index = bisect_right(self._starts, address) - 1
        return index if index >= 0 and address < self._end else None

    def is_own(self, address: int) -> bool | None:
        """Whether the program's own package has that code, not Go's library; None: no Go code."""
        index = self._find(address)
        if index is None:
            return None
        (offset,) = struct.unpack_from("<i", self._table, self._at[index] + 4)
        start = self._names + offset
        name = self._table[start : self._table.index(b"\0", start)].decode(errors="replace")
        first, slash, _ = name.partition("/")  # a package that is not Go's has a domain's name
        return name.startswith("main.") or bool(slash and "." in first)

    def rule(self, address: int) -> Rule | None:
        """Return the rule that holds at an instruction; None: no Go code."""
        index = self._find(address)
        if index is None:
            return None
        (offset,) = struct.unpack_from("<I", self._table, self._at[index] + 16)
        if offset == 0:
            return Rule()
        at = self._starts[index]
        for value, size in self._values(self._deltas + offset):
            at += size
            if address < at:
                return Rule(1, value + RETURN_SIZE, 0)
        return Rule()

    def _values(self, place: int) -> Iterator[tuple[int, int]]:
        """Yield each distance of a function and how many bytes of code have it."""
        value, first = -1, True
        while True:
            change, place = self._number(place)
            if change == 0 and not first:
                return
            size, place = self._number(place)
            value += change >> 1 ^ -(change & 1)
            yield value, size * self._step
            first = False

    def _number(self, place: int) -> tuple[int, int]:
        """Return a LEB128 and where it ends."""
        value = shift = 0
        while True:
            byte = self._table[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, place
