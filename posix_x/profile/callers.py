"""Where the callers of a file's functions are found, by .eh_frame."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any, NamedTuple

from exo_um.trace.cfi import RBP, RIP, RSP, Rules, UnwindError, rules_at
from posix_x.analyze.frames import frames


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
        section = elf.get_section_by_name(".eh_frame")
        if section is None:
            return
        self._address, self._data = section["sh_addr"], section.data()
        self._table = _from_header(elf, self._address) or sorted(
            (frame.start, frame.entry) for frame in frames(self._address, self._data)
        )

    def rule(self, address: int) -> Rule:
        """Return the rule that holds at the instruction before an address."""
        index = bisect_right(self._table, (address - 1, 1 << 64)) - 1
        if index < 0:
            return Rule()
        try:
            found = rules_at(self._data, self._table[index][1], self._address, address - 1)
        except (UnwindError, IndexError, KeyError, ValueError):
            return Rule()
        return _rule_of(found) if found is not None else Rule()


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


def _rule_of(found: Rules) -> Rule:
    bases = {RSP: 1, RBP: 2}
    back, rbp = found.saved.get(RIP), found.saved.get(RBP, ("", 0))
    if found.expression is not None or found.register not in bases or back != ("offset", -8):
        return Rule()
    saved = rbp[1] if rbp[0] == "offset" and isinstance(rbp[1], int) else 0
    return Rule(bases[found.register], found.offset, saved)
