"""One ELF file as the analysis sees it: code, functions, exports, and what its slots hold."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


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
