"""The ELF files that a process has mapped: their unwinding rules, and functions by address.

Code that runs from a patched copy is found by the file whose place it is in: the copy is where the
file's own pages would be.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from pathlib import Path

from exo_um.trace.cfi import Rules, UnwindError, rules_at

PT_LOAD, PT_GNU_EH_FRAME = 1, 0x6474E550
SHT_SYMTAB, SHT_DYNSYM, STT_FUNC = 2, 11, 2
TABLE_ENCODING = 0x3B  # of .eh_frame_hdr's table: 4 bytes, signed, from its beginning on


class Image:
    """A file. Errors: OSError; ValueError, struct.error, IndexError: it is no ELF file of ours."""

    def __init__(self, path: str) -> None:
        """Read it."""
        self.path = path
        self.data = Path(path).read_bytes()
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(path)
        place, size, count = (
            struct.unpack_from("<Q", self.data, 32)[0],
            *struct.unpack_from("<HH", self.data, 54),
        )
        rows = [struct.unpack_from("<IIQQQQ", self.data, place + size * i) for i in range(count)]
        # Offset in the file, address, bytes in the file, bytes in memory.
        self.loads: list[tuple[int, int, int]] = [
            (row[2], row[3], row[5]) for row in rows if row[0] == PT_LOAD
        ]
        self._header = next((row[2:4] for row in rows if row[0] == PT_GNU_EH_FRAME), None)
        self.first = self.loads[0][1] & ~4095
        self.size = max(address + size for _, address, size in self.loads) - self.first
        self._rules: dict[int, Rules | None] = {}
        self._names: dict[int, str] = {}
        self._symbols: list[tuple[int, int, int]] | None = None

    def offset(self, address: int) -> int:
        """Return where in the file an address of its own is."""
        for offset, start, size in self.loads:
            if start <= address < start + size:
                return address - start + offset
        return address

    def rules(self, address: int) -> Rules | None:
        """Return how to go up from one of its addresses; None: it does not say."""
        if address not in self._rules:
            try:
                self._rules[address] = self._look_up(address)
            except (UnwindError, IndexError, KeyError, ValueError, struct.error):
                self._rules[address] = None
        return self._rules[address]

    def _look_up(self, address: int) -> Rules | None:
        if self._header is None:
            return None
        place, at = self._header
        version, _, _, encoding = self.data[place : place + 4]
        if version != 1 or encoding != TABLE_ENCODING:
            return None
        count = struct.unpack_from("<I", self.data, place + 8)[0]
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if struct.unpack_from("<i", self.data, place + 12 + 8 * middle)[0] + at <= address:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        entry = struct.unpack_from("<i", self.data, place + 8 + 8 * low)[0] + at
        start = self.offset(entry)
        return rules_at(self.data, start, entry - start, address)

    def name(self, address: int) -> str:
        """Return the function at an address and how far it is from its beginning; "": unknown."""
        if address not in self._names:
            self._names[address] = self._name(address)
        return self._names[address]

    def _name(self, address: int) -> str:
        if self._symbols is None:
            try:
                self._symbols = self._functions()
            except (struct.error, IndexError):
                self._symbols = []
        at = bisect_right(self._symbols, (address, 1 << 64, 0)) - 1
        if at < 0:
            return ""
        start, _, place = self._symbols[at]
        while at > 0 and self._symbols[at - 1][0] == start:
            at -= 1
            place = self._symbols[at][2]
        name = self.data[place : self.data.index(b"\0", place)].decode(errors="replace")
        return f"{name}+{address - start:#x}"

    def _functions(self) -> list[tuple[int, int, int]]:
        """Return functions' addresses, their order, and where in the file their names are."""
        table = struct.unpack_from("<Q", self.data, 40)[0]
        size, count = struct.unpack_from("<HH", self.data, 58)
        heads = [
            struct.unpack_from("<IIQQQQIIQQ", self.data, table + size * i) for i in range(count)
        ]
        found: list[tuple[int, int, int]] = []
        for head in heads:
            if head[1] not in (SHT_SYMTAB, SHT_DYNSYM):
                continue
            names = heads[head[6]][4]
            for name, info, _, section, value, _ in struct.iter_unpack(
                "<IBBHQQ", self.data[head[4] : head[4] + head[5] // 24 * 24]
            ):
                if info & 15 == STT_FUNC and section:
                    found.append((value, len(found), names + name))
        return sorted(found)


class Images:
    """Those of one process, as its memory is now."""

    def __init__(self, pid: int, known: dict[tuple[str, str], Image | None]) -> None:
        """Look at a host process; known: images read before, by path and inode."""
        self._pid = pid
        self._known = known
        self._text = b""
        self._starts: list[int] = []
        self._spans: list[tuple[int, Image]] = []
        self._code: list[tuple[int, int]] = []

    def refresh(self) -> None:
        """Look again. Errors: OSError: it is gone, or not ours to look at."""
        text = Path(f"/proc/{self._pid}/maps").read_bytes()
        if text == self._text:
            return
        self._text = text
        self._spans, self._code = [], []
        for line in os.fsdecode(text).splitlines():
            where, rights, offset, _, inode, *rest = line.split(None, 5)
            start, end = (int(word, 16) for word in where.split("-"))
            if "x" in rights:
                self._code.append((start, end))
            if int(offset, 16) == 0 and rest and rest[0].startswith("/"):
                image = self._image(rest[0], inode)
                if image is not None:
                    self._spans.append((start, image))
        self._starts = [start for start, _ in self._spans]

    def _image(self, path: str, inode: str) -> Image | None:
        if (path, inode) not in self._known:
            try:
                self._known[path, inode] = Image(path)
            except (OSError, ValueError, struct.error, IndexError):
                self._known[path, inode] = None
        return self._known[path, inode]

    def _find(self, address: int) -> tuple[Image, int] | None:
        at = bisect_right(self._starts, address) - 1
        while at >= 0:
            start, image = self._spans[at]
            if address < start + image.size:
                return image, address - start + image.first
            at -= 1
        return None

    def has(self, address: int) -> bool:
        """Whether there is code at an address."""
        return any(start <= address < end for start, end in self._code)

    def rules(self, address: int) -> Rules | None:
        """Return how to go up from an address; None: unknown."""
        found = self._find(address)
        return found[0].rules(found[1]) if found is not None else None

    def frame(self, address: int) -> str:
        """Return a frame as strace writes it."""
        found = self._find(address)
        if found is None:
            return f" > [{address:#x}]\n"
        image, own = found
        return f" > {image.path}({image.name(own)}) [{image.offset(own):#x}]\n"
