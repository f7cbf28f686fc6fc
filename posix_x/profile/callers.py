"""Where the callers of a file's functions are found, by .eh_frame."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from typing import Any, NamedTuple

from elftools.dwarf.callframe import CallFrameInfo
from elftools.dwarf.structs import DWARFStructs

from posix_x.analyze.frames import frames

RBP, RSP, RETURN = 6, 7, 16  # DWARF's numbers of registers
STRUCTS = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8)


class Rule(NamedTuple):
    """Where a frame's caller is: struct exo_profile_rule's numbers."""

    base: int = 0
    cfa: int = 0
    rbp_at: int = 0


class Frames:
    """.eh_frame, looked up by .eh_frame_hdr's table."""

    def __init__(self, elf: Any) -> None:
        """Take a file's sections."""
        self._table: list[tuple[int, int]] = []
        self._decoded: dict[int, list[dict[Any, Any]]] = {}
        section = elf.get_section_by_name(".eh_frame")
        if section is None:
            return
        address, data = section["sh_addr"], section.data()
        self._table = _from_header(elf, address) or sorted(
            (frame.start, frame.entry) for frame in frames(address, data)
        )
        self._info = CallFrameInfo(io.BytesIO(data), len(data), address, STRUCTS, for_eh_frame=True)

    def rule(self, address: int) -> Rule:
        """Return the rule that holds at the instruction before an address."""
        index = bisect_right(self._table, (address - 1, 1 << 64)) - 1
        if index < 0:
            return Rule()
        place = self._table[index][1]
        if place not in self._decoded:
            entry: Any = self._info._parse_entry_at(place)  # noqa: SLF001 - just one
            rows = entry.get_decoded().table
            start, size = entry.header["initial_location"], entry.header["address_range"]
            inside = start <= address - 1 < start + size
            self._decoded[place] = rows if inside else []
        found: dict[Any, Any] = {}
        for row in self._decoded[place]:
            if row["pc"] <= address - 1:
                found = row
        return _rule_of(found)


def _from_header(elf: Any, address: int) -> list[tuple[int, int]]:
    """Return where functions begin, and where .eh_frame tells of them; static programs lack it."""
    header = elf.get_section_by_name(".eh_frame_hdr")
    data = header.data() if header is not None else b""
    if data[:4] != b"\x01\x1b\x03\x3b":  # version, and encodings that every linker writes
        return []
    (count,) = struct.unpack_from("<I", data, 8)
    base = header["sh_addr"]
    pairs = struct.iter_unpack("<ii", data[12 : 12 + 8 * count])
    return [(base + start, base + frame - address) for start, frame in pairs]


def _rule_of(row: dict[Any, Any]) -> Rule:
    cfa, back, rbp = row.get("cfa"), row.get(RETURN), row.get(RBP)
    if cfa is None or cfa.reg not in (RSP, RBP) or back is None or back.type != "OFFSET":
        return Rule()
    saved = rbp.arg if rbp is not None and rbp.type == "OFFSET" else 0
    return Rule(1 if cfa.reg == RSP else 2, cfa.offset, saved)
