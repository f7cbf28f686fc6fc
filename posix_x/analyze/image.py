"""One ELF file as the analysis sees it: code, functions, what it exports and what its slots hold.

pyelftools reads the headers; the long tables are taken apart here, a hundred times faster.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

FUNCTION, INDIRECT = 2, 10  # STT_FUNC, STT_GNU_IFUNC
OBJECT = 1
R_64, R_GLOB_DAT, R_JUMP_SLOT, R_RELATIVE, R_IRELATIVE = 1, 6, 7, 8, 37
DT_INIT, DT_FINI, DT_INIT_ARRAY, DT_FINI_ARRAY = 12, 13, 25, 26
DT_INIT_ARRAYSZ, DT_FINI_ARRAYSZ = 27, 28
PF_X = 1
PCREL_SDATA4 = 0x1B
UNDEFINED_RIP = b"\x07\x10"
BETWEEN = 32  # bytes of code between the halves of clone3()
# What pyelftools and this file meet where a header lies.
DAMAGE = (
    ELFError,
    struct.error,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    AssertionError,
)
SYMBOL = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QQq")


class ImageError(Exception):
    """A file that cannot be analyzed; the text is the whole reason."""


@dataclass(slots=True)
class Span:
    """Bytes of the file at their address in memory."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.start + len(self.data)


@dataclass(slots=True)
class Image:
    """An x86-64 ELF file; addresses are the file's own, before relocation.

    exports: what others may take from it, by name. slots: what the linker writes at an address,
    a name that another file may give or an address of this one. sizes: of data symbols.
    """

    path: str
    identity: str
    entry: int = 0
    interp: str | None = None
    dynamic: bool = False
    needed: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    exports: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    slots: dict[int, str | int] = field(default_factory=dict)
    starters: list[int] = field(default_factory=list)
    code: list[Span] = field(default_factory=list)
    data: list[Span] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    soname: str = ""

    def bounds(self, address: int) -> tuple[int, int] | None:
        """Return where the function that holds address begins and ends; None outside all code."""
        span = next((one for one in self.code if one.start <= address < one.end), None)
        if span is None:
            return None
        index = bisect_right(self.starts, address) - 1
        start = self.starts[index] if index >= 0 else span.start
        following = self.starts[index + 1] if index + 1 < len(self.starts) else span.end
        end = self.ends.get(start, following)
        if start < span.start:
            start, end = span.start, following
        if address >= end:  # between two functions: a stub, or code without a name
            start, end = max(end, span.start), following
        return start, min(end, span.end)

    def bytes_at(self, start: int, end: int) -> bytes:
        """Return the code from start to end, which lie in one span."""
        for span in self.code:
            if span.start <= start < span.end:
                return span.data[start - span.start : end - span.start]
        return b""

    def is_code(self, address: int) -> bool:
        """Whether code stands at address."""
        return any(span.start <= address < span.end for span in self.code)

    def name_of(self, address: int) -> str:
        """Return what a function is called, or its address."""
        return self.names.get(address) or f"{address:#x}"


def load(path: str) -> Image:
    """Read a file. Errors: ImageError, OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - a path as the user wrote it
        status = os.fstat(file.fileno())
        head = file.read(64)
        _check_head(head, path)
        try:
            identity = f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}"
            image = _Reader(file, Image(os.path.abspath(path), identity)).read()  # noqa: PTH100
        except DAMAGE as error:
            raise ImageError(f"{path}: a damaged ELF file") from error
    if not image.code:
        raise ImageError(f"{path}: no code in it")
    return image


def _check_head(head: bytes, path: str) -> None:
    if head[:2] == b"#!":
        words = head[2:].split(b"\n")[0].split()
        by = f": analyze its interpreter, {os.fsdecode(words[0])}" if words else ""
        raise ImageError(f"{path}: a script{by}")
    if head[:4] != b"\x7fELF":
        raise ImageError(f"{path}: not an ELF file")
    if len(head) < 64:
        raise ImageError(f"{path}: a damaged ELF file (cut short)")
    machine = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    if head[4] != 2 or machine != 62:
        names = {3: "i386", 40: "arm", 62: "x32", 183: "aarch64", 243: "riscv"}
        raise ImageError(
            f"{path}: for {names.get(machine, f'machine {machine}')}, not for x86-64 Linux"
        )
    if struct.unpack_from("<H", head, 16)[0] not in (2, 3):
        raise ImageError(f"{path}: neither a program nor a shared library")


class _Reader:
    """Fills an Image from an open file."""

    def __init__(self, file: BinaryIO, image: Image) -> None:
        self.elf = ELFFile(file)
        self.image = image
        self.functions: dict[int, int] = {}
        self.parts: list[int] = []

    def read(self) -> Image:
        """Read everything there is."""
        image = self.image
        image.entry = self.elf["e_entry"]
        self._read_segments()
        self._read_dynamic()
        for section in self.elf.iter_sections():
            if section["sh_type"] in ("SHT_SYMTAB", "SHT_DYNSYM"):
                strings = self.elf.get_section(section["sh_link"]).data()
                self._read_symbols(section.data(), strings, section["sh_type"] == "SHT_DYNSYM")
            elif section.name == ".eh_frame":
                self._read_frames(section["sh_addr"], section.data())
            elif section.name == ".gopclntab":
                self._read_go(section.data())
        self._join_parts()
        known = {start for start in self.functions if image.is_code(start)}
        known |= {image.entry} if image.is_code(image.entry) else set()
        image.starts = sorted(known)
        image.ends = {
            start: start + self.functions[start] for start in known if self.functions.get(start)
        }
        return image

    def _read_segments(self) -> None:
        for segment in self.elf.iter_segments():
            kind = segment["p_type"]
            if kind == "PT_INTERP":
                self.image.interp = segment.data().rstrip(b"\0").decode(errors="replace")
            elif kind == "PT_LOAD":
                span = Span(segment["p_vaddr"], segment.data())
                (self.image.code if segment["p_flags"] & PF_X else self.image.data).append(span)
            elif kind == "PT_DYNAMIC":
                self.image.dynamic = True

    def _read_dynamic(self) -> None:
        segment: Any = next(self.elf.iter_segments(type="PT_DYNAMIC"), None)
        if segment is None:
            return
        tags: dict[int | str, int] = {}
        for tag in segment.iter_tags():
            kind = tag.entry.d_tag
            if kind == "DT_NEEDED":
                self.image.needed.append(tag.needed)
            elif kind in ("DT_RPATH", "DT_RUNPATH"):
                self.image.search += (tag.rpath if kind == "DT_RPATH" else tag.runpath).split(":")
            elif kind == "DT_SONAME":
                self.image.soname = tag.soname
            else:
                tags[kind] = tag.entry.d_val
        symbols = self._dynamic_symbols(segment)
        for name, table in segment.get_relocation_tables().items():
            self._read_relocations(name, table, symbols)
        self._read_starters(tags)

    def _dynamic_symbols(self, segment: Any) -> list[str]:
        section = self.elf.get_section_by_name(".dynsym")
        if section is None:  # no section headers: by the hash tables
            return [symbol.name for symbol in segment.iter_symbols()]
        strings = self.elf.get_section(section["sh_link"]).data()
        return [_text(strings, row[0]) for row in SYMBOL.iter_unpack(section.data())]

    def _read_relocations(self, kind: str, table: Any, symbols: list[str]) -> None:
        slots = self.image.slots
        if kind == "RELR":
            for entry in table.iter_relocations():
                slots[entry["r_offset"]] = self._word(entry["r_offset"])
            return
        stream = self.elf.stream
        stream.seek(table._offset)  # noqa: SLF001 - has no name for it
        data = stream.read(table._size)  # noqa: SLF001
        for offset, info, addend in RELA.iter_unpack(data):
            what, index = info & 0xFFFFFFFF, info >> 32
            if what in (R_RELATIVE, R_IRELATIVE):
                slots[offset] = addend
            elif what in (R_64, R_GLOB_DAT, R_JUMP_SLOT) and index < len(symbols):
                slots[offset] = symbols[index]

    def _read_starters(self, tags: dict[int | str, int]) -> None:
        """Note what the loader calls by itself: before main, and at the end."""
        starters = [tags[tag] for tag in ("DT_INIT", "DT_FINI") if tags.get(tag)]
        for table, size in (
            ("DT_INIT_ARRAY", "DT_INIT_ARRAYSZ"),
            ("DT_FINI_ARRAY", "DT_FINI_ARRAYSZ"),
        ):
            for place in range(tags.get(table, 0), tags.get(table, 0) + tags.get(size, 0), 8):
                target = self.image.slots.get(place)
                starters += [target] if isinstance(target, int) else []
        self.image.starters = [one for one in starters if self.image.is_code(one)]

    def _word(self, address: int) -> int:
        for span in self.image.data:
            if span.start <= address <= span.end - 8:
                return int.from_bytes(span.data[address - span.start :][:8], "little")
        return 0

    def _read_symbols(self, data: bytes, strings: bytes, dynamic: bool) -> None:
        image = self.image
        for offset, info, _, section, value, size in SYMBOL.iter_unpack(data):
            kind, name = info & 15, _text(strings, offset)
            if section == 0:
                if dynamic and name:
                    image.imports.add(name)
                continue
            if kind in (FUNCTION, INDIRECT) or (kind == 0 and image.is_code(value)):
                self.functions[value] = max(size, self.functions.get(value, 0))
                if name and (value not in image.names or dynamic):
                    image.names[value] = name
            elif kind == OBJECT and size:
                image.sizes[value] = size
                image.names.setdefault(value, name)
            if dynamic and info >> 4:
                image.exports[name] = value

    def _read_frames(self, address: int, table: bytes) -> None:
        """Take functions from .eh_frame, which stripped files keep."""
        place = 0
        encodings: dict[int, tuple[int, bool]] = {}
        while place + 16 <= len(table):
            size, back = struct.unpack_from("<II", table, place)
            if size in (0, 0xFFFFFFFF):
                place += 4
                continue
            if back == 0:
                encodings[place] = _encoding(table[place + 8 : place + 4 + size])
            elif (known := encodings.get(place + 4 - back, (0, False)))[0] == PCREL_SDATA4:
                offset, length = struct.unpack_from("<iI", table, place + 8)
                begin = address + place + 8 + offset
                if known[1]:  # of signal frames: begins a byte early, for who looks up rip - 1
                    begin, length = begin + 1, length - 1
                self.functions.setdefault(begin, length)
                if UNDEFINED_RIP in table[place + 17 : place + 4 + size]:
                    self.parts.append(begin)
            place += 4 + size

    def _join_parts(self) -> None:
        """Join what clone() and its like do in the child to their first half.

        It tells unwinders that nobody is above it, and what is between the two tells them nothing.
        """
        ends = sorted((start + size, start) for start, size in self.functions.items() if size)
        for start in self.parts:
            index = bisect_right(ends, (start, start)) - 1
            if index >= 0 and start - ends[index][0] <= BETWEEN and start != self.image.entry:
                before = ends[index][1]
                self.functions[before] = start + self.functions.pop(start, 0) - before

    def _read_go(self, table: bytes) -> None:
        """Take functions and names from Go's table (1.18 and later), which strip leaves."""
        magic, _, _, _, size = struct.unpack_from("<IBBBB", table)
        if magic not in (0xFFFFFFF0, 0xFFFFFFF1) or size != 8:
            return
        count, _, text, names, _, _, _, functions = struct.unpack_from("<8Q", table, 8)
        rows = list(struct.iter_unpack("<II", table[functions : functions + 8 * count]))
        ends = [row[0] for row in rows[1:]]
        ends += struct.unpack_from("<I", table, functions + 8 * count)
        for (start, offset), end in zip(rows, ends, strict=True):
            (name,) = struct.unpack_from("<i", table, functions + offset + 4)
            self.functions.setdefault(text + start, end - start)
            self.image.names.setdefault(text + start, _text(table, names + name))


def _encoding(cie: bytes) -> tuple[int, bool]:
    """Return how a CIE's functions are given, 0 if unknown, and whether they are for signals."""
    version, (letters, _, rest) = cie[0], cie[1:].partition(b"\0")
    if version != 1 or not letters.startswith(b"z") or b"R" not in letters:
        return 0, False
    values = iter(rest)
    for _ in range(2):  # the two alignment factors, in LEB128
        while next(values, 0) & 0x80:
            pass
    next(values, 0)  # the return address's register
    while next(values, 0) & 0x80:  # how much augmentation follows
        pass
    for letter in letters[1:]:
        value = next(values, 0)
        if letter == ord("R"):
            return value, b"S" in letters
        if letter == ord("P"):
            for _ in range({0: 8, 2: 2, 3: 4, 4: 8}.get(value & 7, 0)):
                next(values, 0)
    return 0, False


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    return strings[offset:end].decode(errors="replace")
