"""Lines that native/host/drainline.c writes are posix_x.decode's, for every call in the table."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator

import pytest
from posix_x.table.rows import ROWS, SIZES

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.region import Region
from exo_um.trace.clock import Clock
from exo_um.trace.drain import Drain
from exo_um.trace.events import HEAD
from exo_um.trace.sink import Sink
from exo_um.trace.summary import Summary
from exo_um.trace.wish import Wishes
from exo_um.trace.writer import Style, Writer
from posix_x.decode.view import Options

DATA = 48  # bytes of an event in one record
TID = 77
TRIES = 20  # of each call
STRINGS = [b"", b"/a/b", b'q"uo\\te', b"\n\t\1" + b"7\377 8", b"x" * 40, b"/" + b"y" * 700, b"\0"]


class Watched:
    """A region into which events are put, and the drain that takes them."""

    def __init__(self, style: Style) -> None:
        self.region = Region()
        self.kr = self.region.kr
        self.kr.cpu_count = 1
        check(lib.exo_record_init(self.kr))
        start = int(ffi.cast("uintptr_t", ffi.addressof(self.kr.recording, "rings")))
        self._rings = ffi.cast("struct exo_ringset *", (start + 127) & ~127)
        self._sequence = 0
        self.out = io.BytesIO()
        writer = Writer(style, self.out)
        options = Options()
        self.drain = Drain(self.region, Sink(Wishes(), writer, options, Summary()), Clock(), bool)

    def lines(self, kind: int, data: bytes) -> str:
        """What the drain writes of an event."""
        for place in range(0, len(data), DATA):
            self._sequence += 1
            more = 1 << 31 if place + DATA < len(data) else 0
            part = data[place : place + DATA].ljust(DATA, b"\0")
            record = struct.pack("<II", TID, self._sequence | more) + part
            check(lib.exo_ringset_push(self._rings, 0, kind, record, len(record)))
        before = self.out.tell()
        self.drain.step()
        return self.out.getvalue()[before:].decode()


@pytest.fixture(params=[Style(), Style(follow=1, path="x", column=60)], ids=["plain", "pids"])
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    """One with a task that is known."""
    it = Watched(request.param)
    it.lines(lib.EXO_RECORD_BORN, struct.pack("<QQ", 1, TID))
    yield it
    lib.exo_drain_deinit(it.drain._drain)


def event(nr: int, dice: random.Random) -> bytes:
    """A call with arguments and memory as they come."""
    row = ROWS[nr]
    args: list[int] = []
    pieces: list[tuple[int, bytes, bool]] = []
    result = dice.choice([0, 1, 3, 144, -2, -14, -22, -513, 1 << 40, -5000])
    for i, (_, kind, type_, size, _, _) in enumerate(row[3]):
        if kind not in ("path", "str", "in", "out", "inout"):
            some = [0, 1, 2, 0x40, 0o100644, 0xFFFFFF9C, 0xFFFFFFFF, (1 << 64) - 1, 5 << 33]
            args.append(dice.choice([*some, dice.getrandbits(12), dice.getrandbits(64)]))
            continue
        at = dice.choice([0, 0x7FFE00001000 + i * 0x10000, 0x5000 + i * 0x10000])
        args.append(at)
        after = kind == "out" or (kind == "inout" and dice.random() < 0.5)
        if kind in ("path", "str") or type_ == "bytes":
            data = dice.choice(STRINGS) + (b"\0" if dice.random() < 0.9 else b"")
        else:
            data = bytes(dice.getrandbits(8) for _ in range(SIZES.get(type_, size) or 8))
            if type_ == "stat":
                kind_of = dice.choice([0o100644, 0o40755, 0o20600, 0o104711, 7])
                data = data[:24] + kind_of.to_bytes(4, "little") + data[28:]
        if at and data and dice.random() < 0.9:
            pieces.append((at, data, after))
    text = HEAD.pack(nr, len(args), 0, 5, 6, result) + struct.pack(f"<{len(args)}Q", *args)
    for at, data, after in pieces:
        text += struct.pack("<Q", at | len(data) << 48 | after << 63)
        text += data + bytes(-len(data) % 8)
    return text


def test_the_second_time_a_line_is_the_same(watched: Watched) -> None:
    """The first time Python writes it, and teaches words; then C, where it can."""
    dice = random.Random(1)
    names = set()
    for nr, row in ROWS.items():
        for _ in range(TRIES):
            data = event(nr, dice)
            lib.exo_drain_forget(watched.drain._drain)
            first = watched.lines(lib.EXO_RECORD_CALL, data)
            lib.exo_drain_forget(watched.drain._drain)
            before = watched.drain.decoded
            again = watched.lines(lib.EXO_RECORD_CALL, data)
            assert again == first
            if watched.drain.decoded == before:
                names.add(row[0])
    assert len(names) > 200
    assert {"read", "write", "pread64", "openat", "stat", "mmap", "lseek", "unlink"} <= names
