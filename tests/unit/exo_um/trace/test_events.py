"""Memory that was told ahead of its call, and names of descriptors that came with it."""

from __future__ import annotations

import struct

from exo_um.bindings import lib
from exo_um.trace.descriptors import PIECE, TOLD, Runtimes
from exo_um.trace.events import HEAD, called_of, pieces_of
from posix_x.decode.line import decode
from posix_x.decode.memory import Snippets
from posix_x.decode.view import Options

WRITE, READ = 1, 0


def piece(at: int, data: bytes, after: int = 0) -> bytes:
    """A piece of memory as the runtime writes it."""
    return struct.pack("<Q", at | len(data) << 48 | after << 63) + data + bytes(-len(data) % 8)


def test_memory_told_ahead_goes_on_in_the_event() -> None:
    """Of one buffer, in three pieces."""
    told = [piece for part in (b"abcd", b"efgh") for piece in pieces_of(piece_at(part), 0)]
    call = HEAD.pack(WRITE, 3, 0, 1, 2, 12) + struct.pack("<3Q", 1, 0x5000, 12)
    called = called_of(call + piece(0x5008, b"ijkl"), told, lambda _: Options())
    assert decode(called.view).entry == 'write(1, "abcdefghijkl", 12'


def piece_at(part: bytes) -> bytes:
    """The first or the second four bytes."""
    return piece(0x5000 + 4 * (part == b"efgh"), part)


def test_what_was_there_before_stands_in_for_what_was_not_told_after() -> None:
    """A call that failed tells nothing after it; and where it was made comes before all pieces."""
    origin = struct.pack("<4Q", 0x1234, 0, 0, 8) + bytes(8)
    head = HEAD.pack(WRITE, 1, lib.EXO_CALLED_ORIGIN | lib.EXO_CALLED_CUT, 1, 2, -4)
    called = called_of(head + bytes(8) + origin + piece(0x6000, b"x"), [], lambda _: Options())
    assert (called.view.pointer, called.view.result) == (0x1234, -4)
    assert called.view.after.peek(0x6000, 1) == b"x"


def told(link: str, generation: int, peer: int) -> bytes:
    """What the runtime tells of a connected AF_UNIX socket."""
    unix = struct.pack("<H", 1)
    fields = (0o140777, 0, 0, 1, 1, 0, generation, peer, 2, 2, unix, unix)
    return TOLD.pack(*fields) + link.encode()


def test_peers_are_known_by_what_was_told_of_both() -> None:
    """Whichever comes first, and after one of them is closed."""
    runtimes = Runtimes(whole=True)
    pair = Snippets(
        [(PIECE | 3, told("socket:[70]", 1, 2)), (PIECE | 4, told("socket:[80]", 2, 1))]
    )
    text = runtimes.of_event(Snippets([]), pair)
    assert text(3, True) == "<UNIX-STREAM:[70->80]>"
    assert text(4, True) == "<UNIX-STREAM:[80->70]>"
    later = runtimes.of_event(Snippets([(PIECE | 4, told("socket:[80]", 2, 0))]), Snippets([]))
    assert later(4, False) == "<UNIX-STREAM:[80->70]>"
    assert later(9, False) == ""
