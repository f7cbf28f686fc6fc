"""Functions by .eh_frame, which stripped files keep: what unwinders know of each."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PCREL_SDATA4 = 0x1B
UNDEFINED_RIP = b"\x07\x10"


class Frame(NamedTuple):
    """A function; second: nobody is above it, so it may be the other half of clone().

    entry: where the section tells of it.
    """

    start: int
    size: int
    second: bool
    entry: int


def frames(address: int, table: bytes) -> Iterator[Frame]:
    """Yield the functions of a section at an address."""
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
            second = UNDEFINED_RIP in table[place + 17 : place + 4 + size]
            yield Frame(begin, length, second, place)
        place += 4 + size


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
