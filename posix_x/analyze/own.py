"""A program's own code, which may be too large to be decoded whole: bytes first, then functions."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from posix_x.analyze.code import SYSTEM_CALL, body, decode, stub_slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.analyze.image import Image

CALL = re.compile(rb"[\xe8\xe9]", re.DOTALL)  # call and jmp with a relative address
BY_SLOT = re.compile(rb"\xff[\x15\x25]", re.DOTALL)  # the same by an address in memory
SITE = re.compile(re.escape(SYSTEM_CALL), re.DOTALL)
AHEAD = 16  # bytes decoded behind what is asked for, so that none of it is cut off
SWEPT = 8 << 20  # bytes of code without any known function that are decoded from end to end


class Own:
    """The code of the program itself."""

    def __init__(self, image: Image) -> None:
        self.image = image
        if len(image.starts) < 3 and sum(len(span.data) for span in image.code) < SWEPT:
            self._find_functions()

    def _find_functions(self) -> None:
        """Take what is called as functions, where the file names none."""
        found = {self.image.entry}
        for span in self.image.code:
            for one in decode(self.image, span.start, span.end, limit=SWEPT):
                if one.name == "call" and one.target is not None and self.image.is_code(one.target):
                    found.add(one.target)
        self.image.starts = sorted(found)

    def functions(self) -> tuple[set[int], int]:
        """Return the functions with system-call sites, and how many sites no function leads to."""
        found: dict[int, set[int]] = {}
        for place in self._places(SITE):
            found.setdefault(self._start_of(place), set()).add(place)
        starts, lost = set(), 0
        for start, places in found.items():
            here = {one.address for one in body(self.image, start) if one.name == "syscall"}
            starts |= {start} if here else set()
            for place in sorted(places - here):
                other = self._nearest(start, place)
                starts |= {other} if other is not None else set()
                lost += other is None and self._is_site(start, place)
        return starts, lost

    def _nearest(self, start: int, place: int) -> int | None:
        """Return where code behind a jump or return begins that leads to a site, if it is one."""
        begin = None
        for one in decode(self.image, start, place + AHEAD):
            if begin is None and one.name not in ("nop", "int3"):
                begin = one.address
            if one.address == place and one.name == "syscall":
                return begin if begin != start else None
            if one.name in ("ret", "ud2", "jmp"):
                begin = None
        return None

    def _is_site(self, start: int, place: int) -> bool:
        code = decode(self.image, start, place + AHEAD)
        return any(one.address == place and one.name == "syscall" for one in code)

    def _places(self, pattern: re.Pattern[bytes]) -> Iterator[int]:
        for span in self.image.code:
            for match in pattern.finditer(span.data):
                yield span.start + match.start()

    def _start_of(self, place: int) -> int:
        bounds = self.image.bounds(place)
        return place if bounds is None else bounds[0]

    @cached_property
    def _calls(self) -> dict[int, list[int]]:
        """Where each address is called from, or seems to be: bytes are not yet instructions."""
        found: dict[int, list[int]] = {}
        for span in self.image.code:
            data, start = span.data, span.start
            for match in CALL.finditer(data):
                at = match.start()
                to = start + at + 5 + int.from_bytes(data[at + 1 : at + 5], "little", signed=True)
                if span.start <= to < span.end:
                    found.setdefault(to, []).append(start + at)
        return found

    @cached_property
    def _stubs(self) -> dict[int, list[int]]:
        """The stubs that jump by each slot."""
        found: dict[int, list[int]] = {}
        for place in self._places(BY_SLOT):
            for stub in (place, place - 1, place - 4, place - 5):
                slot = stub_slot(self.image, stub) if stub in self._calls else None
                if slot is not None:
                    found.setdefault(slot, []).append(stub)
        return found

    def callers(self, targets: set[int], slots: set[int]) -> set[int]:
        """Return the functions that call one of targets, or by one of slots."""
        targets = targets | {stub for slot in slots for stub in self._stubs.get(slot, ())}
        places = {place for target in targets for place in self._calls.get(target, ())}
        for span in self.image.code if slots else ():
            for match in BY_SLOT.finditer(span.data):
                at = match.start()
                to = int.from_bytes(span.data[at + 2 : at + 6], "little", signed=True)
                if span.start + at + 6 + to in slots:
                    places.add(span.start + at)
        return {self._start_of(place) for place in places}
