"""Source lines of a file's addresses, by DWARF's line programs."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from elftools.common.exceptions import DWARFError, ELFError

from posix_x.profile.inlines import Inlines

if TYPE_CHECKING:
    from collections.abc import Iterator

# What pyelftools and who uses it meet where a file is damaged.
DAMAGE = (
    ELFError, DWARFError, struct.error, ArithmeticError, AttributeError, LookupError, OSError,
    TypeError, ValueError, AssertionError,
)  # fmt: skip


class Lines:
    """Source lines, a compilation unit at a time."""

    def __init__(self, elf: Any) -> None:
        """Take a file; nothing is read yet."""
        has = elf is not None and elf.has_dwarf_info(strict=True)
        self._dwarf: Any = elf.get_dwarf_info(relocate_dwarf_sections=False) if has else None
        self.exist = self._dwarf is not None
        self._ranges: Any = None
        self._units: dict[int, list[tuple[int, int, str, int]]] = {}
        self._known: dict[int, tuple[str, int] | None] = {}
        self._inlines: Inlines | None = None

    def find(self, address: int) -> tuple[str, int] | None:
        """Return source file and line."""
        if address not in self._known:
            try:
                self._known[address] = self._find(address) if self._dwarf is not None else None
            except DAMAGE:
                self._known[address] = None
        return self._known[address]

    def inlined(self, address: int) -> str:
        """Return the function that was put there into another, empty if none was."""
        if self._dwarf is None or self.find(address) is None:
            return ""
        try:
            self._inlines = self._inlines or Inlines(self._dwarf)
            return self._inlines.find(next(self._units_of(address)), address)
        except DAMAGE:
            return ""

    def _find(self, address: int) -> tuple[str, int] | None:
        for unit in self._units_of(address):
            found = self._in_unit(unit, address)
            if found is not None:
                return found
        return None

    def _units_of(self, address: int) -> Iterator[Any]:
        """Yield the units that may have code there."""
        if self._ranges is None:
            self._ranges = self._dwarf.get_aranges() or False
        if not self._ranges:  # clang writes no table of them
            yield from (
                unit for unit in self._dwarf.iter_CUs() if self._in_unit(unit, address) is not None
            )
            return
        offset = self._ranges.cu_offset_at_addr(address)
        if offset is not None:
            yield self._dwarf.get_CU_at(offset)

    def _in_unit(self, unit: Any, address: int) -> tuple[str, int] | None:
        if unit.cu_offset not in self._units:
            self._units[unit.cu_offset] = sorted(_rows(self._dwarf, unit))
        rows = self._units[unit.cu_offset]
        index = bisect_right(rows, (address, 1 << 64, "", 0)) - 1
        if index < 0 or address >= rows[index][1]:
            return None
        return rows[index][2], rows[index][3]


def _rows(dwarf: Any, unit: Any) -> list[tuple[int, int, str, int]]:
    """Return a unit's line table: from, to, file, line."""
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return []
    first = 0 if program.header["version"] >= 5 else 1
    names = [entry.name.decode(errors="replace") for entry in program["file_entry"]]
    rows = []
    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address < state.address and before.line:
            index = before.file - first
            name = names[index] if 0 <= index < len(names) else "?"
            rows.append((before.address, state.address, name, before.line))
        before = None if state.end_sequence else state
    return rows
