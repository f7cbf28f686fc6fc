"""Which files processes have mapped where: addresses become places in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from posix_x.profile.binary import Binary

if TYPE_CHECKING:
    from collections.abc import Callable


class Mapped(NamedTuple):
    """Part of a file in memory."""

    start: int
    end: int
    bias: int  # to be taken off addresses to have the file's own
    binary: Binary


class Place(NamedTuple):
    """A place in a file; line 0: not known."""

    module: str
    address: int  # the file's own
    function: str
    file: str
    line: int

    @property
    def text(self) -> str:
        """Return it as people write it: function (file:line), or function (module)."""
        name = self.function or f"{self.address:#x}"
        return f"{name} ({self.file}:{self.line})" if self.line else f"{name} ({self.module})"


NOWHERE = Place("?", 0, "", "", 0)


class Spaces:
    """All address spaces of a run, by number; 0 is one of which nothing is known."""

    def __init__(self) -> None:
        """Begin with none."""
        self._spaces: list[list[Mapped]] = [[]]
        self._before: list[Callable[[], int] | int] = [0]
        self._binaries: dict[str, Binary] = {}
        self._places: dict[tuple[str, int], Place] = {}

    def new(self, like: Callable[[], int] | int = 0) -> int:
        """Return the number of a new one, a copy of another, which may be told later."""
        self._spaces.append([])
        self._before.append(like)
        return len(self._spaces) - 1

    def _like(self, space: int) -> int:
        """Return of which one a space is a copy."""
        before = self._before[space]
        if callable(before):
            before = self._before[space] = before()
        return before

    def binary(self, path: str) -> Binary:
        """Return a file, read once."""
        if path not in self._binaries:
            self._binaries[path] = Binary(path)
        return self._binaries[path]

    def load(self, space: int, path: str, bias: int) -> None:
        """Take note of a whole file's being mapped."""
        binary = self.binary(path)
        if binary.segments:
            low = min(address for _, address, _ in binary.segments)
            high = max(address + size for _, address, size in binary.segments)
            self._spaces[space].append(Mapped(low + bias, high + bias, bias, binary))

    def map(self, space: int, start: int, size: int, path: str, offset: int) -> None:
        """Take note of part of a file's being mapped."""
        binary = self.binary(path)
        address = binary.address(offset)
        if address is not None:
            self._spaces[space].append(Mapped(start, start + size, start - address, binary))

    def find(self, space: int, address: int) -> Mapped | None:
        """Return what is mapped there."""
        seen: set[int] = set()
        while space not in seen:  # 0 is a copy of itself
            seen.add(space)
            for mapped in reversed(self._spaces[space]):
                if mapped.start <= address < mapped.end:
                    return mapped
            space = self._like(space)
        return None

    def place(self, space: int, address: int) -> Place:
        """Return the place of the instruction before an address, which goes on there."""
        mapped = self.find(space, address - 1)
        if mapped is None:
            return NOWHERE._replace(address=address)
        own = address - 1 - mapped.bias
        key = (mapped.binary.path, own)
        if key not in self._places:
            binary = mapped.binary
            file, line = binary.line(own) or ("", 0)
            self._places[key] = Place(binary.name, own, binary.function(own), file, line)
        return self._places[key]
