"""What goes to a worker and back: plain values, arrays, dataclasses, channels, files.

Never pickled. A value is a tag byte and its contents; descriptors travel beside, in order.
Functions and classes are named by module and qualified name, and looked up, never sent.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from typing import Any, get_origin

from exo_um.std.channel import Channel, ChannelMaker
from exo_um.std.codec import is_array
from exo_um.std.file import Directory, File, Rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.channel import ChannelMemory

MAIN = "__main__"
MAIN_HERE = "__exo_main__"  # what the parent's main program is called in a worker
_COUNT = struct.Struct("<I")
_FLOAT = struct.Struct("<d")
SINGLE = {None: b"N", True: b"T", False: b"F"}
SEQUENCES: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"s", frozenset: b"z"}
_MADE_OF = {tag: kind for kind, tag in SEQUENCES.items()}


def name_of(thing: Any) -> str:
    """Return module:qualname of a function or class. Errors: TypeError, it cannot be found so."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    if not name or found is not thing:
        raise TypeError(
            f"{thing!r} cannot be found by a name in its module, so no worker can have it"
        )
    return f"{MAIN if module == MAIN_HERE else module}:{name}"


def find(name: str, main: dict[str, Any] | None = None) -> Any:
    """Return what name_of() has named; main: the names of the parent's main program."""
    module, _, path = name.partition(":")
    first, *rest = path.split(".")
    if module == MAIN and main is not None:
        found = main[first]
    else:
        __import__(module)
        found = getattr(sys.modules[module], first)
    for part in rest:
        found = getattr(found, part)
    return found


def kind_name(kind: Any) -> str:
    """Return the name of what a channel carries."""
    if is_array(kind):
        from exo_um.std.array import dtype_of

        dtype = dtype_of(get_origin(kind) and kind)
        return f"array:{dtype.str if dtype is not None else ''}"
    return name_of(kind)


def kind_named(name: str, main: dict[str, Any] | None) -> Any:
    """Return what a channel carries."""
    module, _, path = name.partition(":")
    if module != "array":
        return find(name, main)
    import numpy as np

    return np.ndarray[Any, np.dtype[np.dtype(path).type]] if path else np.ndarray  # type: ignore[misc]


class Writer:
    """Turns values into bytes and descriptors; the descriptors stay their objects'.

    tickets: of the channels, which hold their places until the other process has joined.
    """

    def __init__(self) -> None:
        self.tickets: list[tuple[ChannelMemory, int]] = []
        self.data = bytearray()
        self.fds: list[int] = []

    def _bytes(self, tag: bytes, data: Any) -> None:
        self.data += tag + _COUNT.pack(len(data))
        self.data += data

    def _items(self, tag: bytes, items: Any) -> None:
        self.data += tag + _COUNT.pack(len(items))
        for item in items:
            self.add(item)

    def _fd(self, tag: bytes, fd: int, *about: Any) -> None:
        self.fds.append(fd)
        self._items(tag, about)

    def add(self, value: Any) -> None:
        """Append a value. Errors: TypeError, it cannot travel."""
        kind = type(value)
        if kind in (bool, type(None)):
            self.data += SINGLE[value]
        elif kind is int:
            self._bytes(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        elif kind is float:
            self.data += b"f" + _FLOAT.pack(value)
        elif kind is str:
            self._bytes(b"u", value.encode("utf-8", "surrogatepass"))
        elif kind in (bytes, bytearray):
            self._bytes(b"b" if kind is bytes else b"y", value)
        elif kind in SEQUENCES:
            self._items(SEQUENCES[kind], value)
        elif kind is dict:
            self._items(b"d", [part for pair in value.items() for part in pair])
        else:
            self._add_object(value)

    def _add_object(self, value: Any) -> None:
        if isinstance(value, Channel):
            ticket = value.memory.ticket()
            self.tickets.append((value.memory, ticket))
            self._fd(b"C", value.fileno(), kind_name(value.kind), ticket)
        elif isinstance(value, Directory | File):
            self._fd(b"R", value.fileno(), isinstance(value, File), int(value.rights))
        elif is_array(type(value)):
            from exo_um.std import array

            array.check(value, None)
            rest, tail = array.describe(value, b"")
            self._items(b"A", [value.tobytes(), rest, tail])
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [getattr(value, f.name) for f in dataclasses.fields(value) if f.init]
            self._items(b"D", [name_of(type(value)), *fields])
        elif callable(value):
            self._bytes(b"c", name_of(value).encode())
        else:
            raise TypeError(
                f"{type(value).__name__} cannot be given to a worker or returned by one"
            )


def end_tickets(tickets: list[tuple[ChannelMemory, int]]) -> None:
    """End what has not been ended by joining."""
    for memory, ticket in tickets:
        memory.end_ticket(ticket)
    tickets.clear()


class Reader:
    """Turns bytes and descriptors back into values, which own the descriptors."""

    def __init__(self, data: bytes, fds: list[int], main: dict[str, Any] | None = None) -> None:
        self._data = data
        self._at = 0
        self._fds = iter(fds)
        self._main = main

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ValueError("a message shorter than it says")
        self._at += size
        return self._data[self._at - size : self._at]

    def _items(self) -> list[Any]:
        (count,) = _COUNT.unpack(self._take(4))
        return [self.next() for _ in range(count)]

    def _content(self) -> bytes:
        (size,) = _COUNT.unpack(self._take(4))
        return self._take(size)

    def next(self) -> Any:
        """Return the next value. Errors: ValueError, this is none."""
        tag = self._take(1)
        for value, its in SINGLE.items():
            if tag == its:
                return value
        if tag in _MADE_OF:
            return _MADE_OF[tag](self._items())
        if tag == b"f":
            return _FLOAT.unpack(self._take(8))[0]
        made = _FROM_BYTES.get(tag)
        if made is not None:
            return made(self._content())
        if tag == b"c":
            return find(self._content().decode(), self._main)
        return self._object(tag, self._items())

    def _object(self, tag: bytes, items: list[Any]) -> Any:
        if tag == b"d":
            return dict(zip(items[::2], items[1::2], strict=True))
        if tag == b"C":
            joined = ChannelMaker(kind_named(items[0], self._main)).join(next(self._fds))
            joined.memory.end_ticket(items[1])
            return joined
        if tag == b"R":
            kind = File if items[0] else Directory
            return kind(next(self._fds), Rights(items[1]))
        if tag == b"A":
            from exo_um.std import array

            return array.rebuild(*items)
        if tag == b"D":
            kind = find(items[0], self._main)
            names = [field.name for field in dataclasses.fields(kind) if field.init]
            return kind(**dict(zip(names, items[1:], strict=True)))
        raise ValueError(f"no value begins with {tag!r}")


_FROM_BYTES: dict[bytes, Any] = {
    b"i": lambda data: int.from_bytes(data, "little", signed=True),
    b"u": lambda data: data.decode("utf-8", "surrogatepass"),
    b"b": bytes,
    b"y": bytearray,
}
