"""Functions that the compiler has put into others: which one's code is at an address, by DWARF."""

from __future__ import annotations

from typing import Any

LARGEST = 1 << 18  # bytes of a unit's entries: larger ones take seconds to read
MOST = 1 << 21  # of all units


class Inlines:
    """Of one file, a compilation unit at a time."""

    def __init__(self, dwarf: Any) -> None:
        """Take a file's DWARF."""
        self._dwarf = dwarf
        self._lists: Any = dwarf.range_lists()
        self._units: dict[int, list[tuple[list[tuple[int, int]], str]]] = {}
        self._left = MOST

    def find(self, unit: Any, address: int) -> str:
        """Return the innermost function whose code it is, empty if that is no inlined one."""
        if unit.cu_offset not in self._units:
            self._units[unit.cu_offset] = self._read(unit)
        found = ""
        for ranges, name in self._units[unit.cu_offset]:  # outer ones come first
            if any(start <= address < end for start, end in ranges):
                found = name
        return found

    def _read(self, unit: Any) -> list[tuple[list[tuple[int, int]], str]]:
        size = unit["unit_length"]
        if size > min(LARGEST, self._left):
            return []
        self._left -= size
        return [
            (self._ranges(unit, entry), _name(entry))
            for entry in unit.iter_DIEs()
            if entry.tag == "DW_TAG_inlined_subroutine"
        ]

    def _ranges(self, unit: Any, entry: Any) -> list[tuple[int, int]]:
        attributes = entry.attributes
        if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
            start, end = (attributes[f"DW_AT_{name}_pc"] for name in ("low", "high"))
            offset = 0 if end.form == "DW_FORM_addr" else start.value
            return [(start.value, end.value + offset)]
        if "DW_AT_ranges" not in attributes or self._lists is None:
            return []
        low = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = low.value if low is not None else 0
        found = []
        offset = attributes["DW_AT_ranges"].value
        for one in self._lists.get_range_list_at_offset(offset, cu=unit):
            if hasattr(one, "base_address"):
                base = one.base_address
            else:
                at = 0 if getattr(one, "is_absolute", False) else base
                found.append((at + one.begin_offset, at + one.end_offset))
        return found


def _name(entry: Any) -> str:
    for _ in range(4):  # of what, and where that was declared
        name = entry.attributes.get("DW_AT_name")
        if name is not None:
            return str(name.value.decode(errors="replace"))
        link = next(
            (one for one in ("DW_AT_abstract_origin", "DW_AT_specification")
             if one in entry.attributes), None,
        )  # fmt: skip
        if link is None:
            return ""
        entry = entry.get_DIE_from_attribute(link)
    return ""
