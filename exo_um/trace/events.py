"""A call's event, as guests' runtimes tell it: struct exo_called, arguments, pieces of memory."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from exo_um.bindings import lib
from exo_um.trace.restart import as_traced
from posix_x.decode.memory import Layered, Snippets
from posix_x.decode.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from posix_x.decode.view import Options

HEAD = struct.Struct("<HBBIQq")
ORIGIN = struct.Struct("<Q16xQ")
SIZE_MASK, ADDRESS_MASK = 0x7FFF, (1 << 48) - 1
UC_SIGMASK = 296
LONG_SHIFT = 20
Piece = tuple[int, int, bytes]  # whether it is from after the call, where, bytes


class Called(NamedTuple):
    """A call; began and spent are in cycles."""

    view: View
    began: int
    spent: int
    flags: int
    before: Snippets
    after: Snippets


def called_of(data: bytes, told: list[Piece], options_of: Callable[[int], Options]) -> Called:
    """Return an event's call; told: memory of it that was told before."""
    nr, argc, flags, spent, began, result = HEAD.unpack_from(data)
    args = struct.unpack_from(f"<{argc}Q", data, HEAD.size) + (0,) * (6 - argc)
    place, pointer = HEAD.size + 8 * argc, None
    if flags & lib.EXO_CALLED_ORIGIN:
        pointer, size = ORIGIN.unpack_from(data, place)
        place += ORIGIN.size + size
    pieces = [*told, *pieces_of(data, place)]
    before = Snippets([(at, piece) for late, at, piece in pieces if not late])
    after = Snippets([(at, piece) for late, at, piece in pieces if late])
    view = View(
        nr, args, as_traced(nr, args, result, bool(flags & lib.EXO_CALLED_CUT)), before,
        Layered(after, before), options_of(nr), (pieces[0][1] if pieces else 0) - UC_SIGMASK,
        pointer=pointer,
    )  # fmt: skip
    spent <<= LONG_SHIFT if flags & lib.EXO_CALLED_LONG else 0
    return Called(view, began, spent, flags, before, after)


def pieces_of(data: bytes, place: int) -> list[Piece]:
    """Return an event's pieces of memory: whether they are from after the call, where, bytes."""
    pieces: list[Piece] = []
    while place + 8 <= len(data):
        head = int.from_bytes(data[place : place + 8], "little")
        size = head >> 48 & SIZE_MASK
        if not head:
            break
        pieces.append((head >> 63, head & ADDRESS_MASK, data[place + 8 : place + 8 + size]))
        place += 8 + (size + 7 & ~7)
    return pieces
