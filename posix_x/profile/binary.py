"""An ELF file that a profiled program has mapped: what is at an address, and who is above it.

Names come from the symbol tables, lines from DWARF's line programs, callers' places from .eh_frame.
Files without debugging information of their own may have it below /usr/lib/debug, by build-id.
"""

from __future__ import annotations

import io
import re
import struct
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.callframe import CallFrameInfo
from elftools.dwarf.structs import DWARFStructs
from elftools.elf.elffile import ELFFile

from posix_x.analyze.frames import frames
from posix_x.profile.inlines import Inlines

if TYPE_CHECKING:
    from collections.abc import Iterator

SYMBOL = struct.Struct("<IBBHQQ")
FUNCTION, INDIRECT = 2, 10  # STT_FUNC, STT_GNU_IFUNC
RBP, RSP, RETURN = 6, 7, 16  # DWARF's numbers of registers
STRUCTS = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8)
DEBUG = Path("/usr/lib/debug/.build-id")
# What stands between a program and the calls that it means.
LIBRARIES = re.compile(r"(libc|libpthread|librt|libm|libdl|libstdc\+\+|libgcc_s|ld|libc\.musl)[-.]")
DAMAGE = (
    ELFError, DWARFError, struct.error, ArithmeticError, AttributeError, LookupError, OSError,
    TypeError, ValueError, AssertionError,
)  # fmt: skip


class Rule(NamedTuple):
    """Where a frame's caller is: struct exo_profile_rule's numbers."""

    base: int = 0
    cfa: int = 0
    rbp_at: int = 0


class Binary:
    """One file; addresses are the file's own, before relocation."""

    def __init__(self, path: str) -> None:
        """Read a file's headers and symbols; of one that cannot be read nothing is known."""
        self.path = path
        self.name = path.rpartition("/")[2]
        self.is_library = LIBRARIES.match(self.name) is not None
        self.segments: list[tuple[int, int, int]] = []  # file offset, address, size
        self.is_static = False
        self._elf: Any = None
        self._starts: list[int] = []
        try:
            self._elf = ELFFile(Path(path).open("rb"))  # noqa: SIM115 - read from later
            self.segments = [
                (segment["p_offset"], segment["p_vaddr"], segment["p_memsz"])
                for segment in self._elf.iter_segments(type="PT_LOAD")
            ]
            self.is_static = not any(True for _ in self._elf.iter_segments(type="PT_INTERP"))
        except DAMAGE:
            return

    # The program waits while callers' places are looked up: nothing is read before it is needed.

    @cached_property
    def _debug(self) -> Any:
        return (_debug_of(self._elf) or self._elf) if self._elf is not None else None

    @cached_property
    def _symbols(self) -> list[tuple[int, int, str]]:
        try:
            found = sorted(_symbols(self._elf, self._debug))
        except DAMAGE:
            found = []
        self._starts = [symbol[0] for symbol in found]
        return found

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self._debug)

    @cached_property
    def _frames(self) -> Frames:
        return Frames(self._elf)

    def address(self, offset: int) -> int | None:
        """Return the address of a place in the file, None where no segment has it."""
        for start, address, size in self.segments:
            if start <= offset + 4095 and offset < start + size:
                return address + offset - start
        return None

    def function(self, address: int) -> str:
        """Return the name of the function there, inlined ones included; empty if there is none."""
        inlined = "" if self.is_library else self._lines.inlined(address)
        if inlined:
            return inlined
        symbols = self._symbols
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return ""
        start, size, _ = symbols[index]
        if size and address >= start + size:
            return ""
        names = [name for at, _, name in symbols[max(0, index - 8) : index + 9] if at == start]
        return min(names, key=lambda name: (name.startswith("_"), len(name), name))

    def line(self, address: int) -> tuple[str, int] | None:
        """Return the source file and line there."""
        try:
            return self._lines.find(address)
        except DAMAGE:
            return None

    def is_own(self, address: int) -> bool:
        """Whether that code is what a reader of a profile looks for, and no library below it.

        In a static program with lines that is what has some: its libc has none.
        """
        if self.is_library or not self.is_static:
            return not self.is_library
        return not self._lines.exist or self.line(address) is not None

    def rule(self, address: int) -> Rule:
        """Return where the caller of the frame is that goes on behind address."""
        try:
            return self._frames.rule(address)
        except DAMAGE:
            return Rule()


def _debug_of(elf: Any) -> Any:
    """Return the file with a stripped file's debugging information, None if there is none."""
    note = elf.get_section_by_name(".note.gnu.build-id")
    if note is None or elf.get_section_by_name(".debug_info") is not None:
        return None
    number = note.data()[16:].hex()
    path = DEBUG / number[:2] / f"{number[2:]}.debug"
    return ELFFile(path.open("rb")) if path.exists() else None


def _symbols(elf: Any, debug: Any) -> list[tuple[int, int, str]]:
    found: set[tuple[int, int, str]] = set()
    for file in (elf, debug) if debug is not elf else (elf,):
        for section in file.iter_sections():
            if section["sh_type"] not in ("SHT_SYMTAB", "SHT_DYNSYM"):
                continue
            strings = file.get_section(section["sh_link"]).data()
            for name, info, _, where, value, size in SYMBOL.iter_unpack(section.data()):
                if where and info & 15 in (FUNCTION, INDIRECT):
                    text = strings[name : strings.find(b"\0", name)].decode(errors="replace")
                    found.add((value, size, text))
    return list(found)


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
