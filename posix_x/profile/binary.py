"""An ELF file that a profiled program has mapped: what is at an address, and who is above it.

Names come from the symbol tables, lines from DWARF's line programs, callers' places from .eh_frame.
Files without debugging information of their own may have it below /usr/lib/debug, by build-id.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from posix_x.profile.callers import Frames, Rule
from posix_x.profile.golang import GoTable
from posix_x.profile.lines import DAMAGE, Lines

SYMBOL = struct.Struct("<IBBHQQ")
FUNCTION, INDIRECT = 2, 10  # STT_FUNC, STT_GNU_IFUNC
DEBUG = Path("/usr/lib/debug/.build-id")
# What stands between a program and the calls that it means.
LIBRARIES = re.compile(r"(libc|libpthread|librt|libm|libdl|libstdc\+\+|libgcc_s|ld|libc\.musl)[-.]")


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

    @cached_property
    def _go(self) -> GoTable | None:
        try:
            section = self._elf.get_section_by_name(".gopclntab") if self._elf else None
            return GoTable(section.data()) if section is not None else None
        except DAMAGE:
            return None

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

        In a static program with lines that is what has some: its libc has none. Go's library has.
        """
        go = self._go.is_own(address) if self._go is not None else None
        if go is not None:
            return go
        if self.is_library or not self.is_static:
            return not self.is_library
        return not self._lines.exist or self.line(address) is not None

    def rule(self, address: int) -> Rule:
        """Return where the caller of the frame is that goes on behind address."""
        try:
            go = self._go.rule(address - 1) if self._go is not None else None
            return self._frames.rule(address) if go is None else go
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
