"""Leads the system-call sites of a linked program to stubs, which enter the runtime by themselves.

For exo-cc. A stub looks for the runtime's entry where native/direct/start.S has put it; on plain
Linux there is none, and it makes the host's call. What a jump of five bytes displaces stands in the
stub: instructions before the site, or, where none can be moved, after it. A site of which that
cannot be said stays as it is, and is served as any other program's.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posix_x.analyze.code import SYSTEM_CALL, Instruction, body
from posix_x.analyze.image import Image, load
from posix_x.analyze.own import Own

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"exo-cc stubs 1\n\0"
HEAD = 8  # bytes behind it: where the entry's address is kept, and how much room there is
JUMP = 5  # bytes
FAR = re.compile(rb"(?:[\xe8\xe9]|\x0f[\x80-\x8f])(?=(....))", re.DOTALL)
STAYS = ("j", "loop", "call", "ret", "syscall", "int", "hlt", "ud2", "xbegin", "rep")


class NoRoomError(Exception):
    """The stubs need more room; args[0] is how many bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a site: a jump stands from start to end, and what it displaces in the stub.

    back: where the stub leads afterwards.
    """

    start: int
    end: int
    back: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many sites there are, and the addresses of those that stay."""

    sites: int
    left: tuple[int, ...]


def link(path: str) -> Outcome:
    """Rewrite the sites of a program. Errors: NoRoomError; ImageError, OSError, ValueError."""
    image = load(path)
    with open(path, "r+b") as file:  # noqa: PTH123 - a string
        contents = bytearray(file.read())
        stubs = contents.find(MAGIC)
        if stubs < 0:
            raise ValueError(f"{path}: linked without native/direct/start.S")
        sites, plans = _plans(image)
        _write(contents, stubs, image, plans)
        file.seek(0)
        file.write(contents)
    planned = set(plans)
    return Outcome(len(sites), tuple(sorted(set(sites) - planned)))


def _plans(image: Image) -> tuple[list[int], dict[int, Plan]]:
    """Return all sites, and a plan for each that can be rewritten, by its address."""
    targets = _far_targets(image)
    own = Own(image)
    sites: list[int] = []
    plans: dict[int, Plan] = {}
    for start in sorted(own.functions()[0]):
        code = body(image, start)
        near = {one.target for one in code if one.name.startswith(("j", "loop"))}
        for number, one in enumerate(code):
            if one.name != "syscall" or one.address in sites:
                continue
            sites.append(one.address)
            plan = _plan(image, code, number, targets | near)
            if plan and not any(_overlap(plan, other) for other in plans.values()):
                plans[one.address] = plan
    return sites, plans


def _overlap(one: Plan, other: Plan) -> bool:
    return one.start < other.end and other.start < one.end


def _far_targets(image: Image) -> set[int | None]:
    """Return wherever a jump or call with 32 bits may lead."""
    found: set[int | None] = set()
    for span in image.code:
        for match in FAR.finditer(span.data):
            to = int.from_bytes(match[1], "little", signed=True)
            found.add(span.start + match.end() + 4 + to)
    return found | set(image.starts)


def _plan(
    image: Image, code: Sequence[Instruction], site: int, targets: set[int | None]
) -> Plan | None:
    one = code[site]
    if one.size != len(SYSTEM_CALL):  # with a prefix
        return None
    start = _backwards(code, site, targets)
    before = image.bytes_at(start, one.address)
    if len(before) >= JUMP:
        return Plan(start, one.address, one.after, before, b"")
    end = _forwards(code, site, targets)
    if end is not None:
        return Plan(one.address, end, end, b"", image.bytes_at(one.after, end))
    if one.after - start >= JUMP and one.address not in targets:
        return Plan(start, one.after, one.after, before, b"")
    return None


def _backwards(code: Sequence[Instruction], site: int, targets: set[int | None]) -> int:
    """Return where the instructions before a site begin that can be moved, if there are any."""
    place = code[site].address
    for one in reversed(code[max(0, site - JUMP) : site]):
        if one.after != place or not _movable(one):
            break
        place = one.address
        if code[site].address - place >= JUMP or place in targets:
            break
    return place


def _forwards(code: Sequence[Instruction], site: int, targets: set[int | None]) -> int | None:
    """Return where the instructions behind a site end that can be moved."""
    place = code[site].after
    for one in code[site + 1 : site + JUMP]:
        if one.address != place or one.address in targets or not _movable(one):
            return None
        place = one.after
        if place - code[site].address >= JUMP:
            return place
    return None


def _movable(one: Instruction) -> bool:
    return "rip" not in one.operands and not one.name.startswith(STAYS)


def _write(contents: bytearray, stubs: int, image: Image, plans: dict[int, Plan]) -> None:
    """Write the stubs, then the jumps to them."""
    offset, room = struct.unpack_from("<iI", contents, stubs + len(MAGIC))
    place = stubs + len(MAGIC) + HEAD
    address = _address(contents, image, stubs)
    entry = address + len(MAGIC) + offset
    at, end = address + len(MAGIC) + HEAD, place + room
    delta = place - at
    for plan in plans.values():
        stub = _stub(plan, at, entry)
        if at + len(stub) + delta <= end:
            contents[at + delta : at + delta + len(stub)] = stub
            jump = b"\xe9" + (at - plan.start - JUMP).to_bytes(4, "little", signed=True)
            patch = jump + b"\x90" * (plan.end - plan.start - JUMP)
            file_at = _offset(contents, image, plan.start)
            contents[file_at : file_at + len(patch)] = patch
        at += len(stub)
    if at + delta > end:
        raise NoRoomError(at + delta - place)


def _stub(plan: Plan, at: int, entry: int) -> bytes:
    """Return a stub's code at an address; no flag changes, and rcx and r11 are a call's to change.

    The jump in front of the way back is for a call that has to be made once more: two bytes there
    stand for the `syscall` (settle_call() in native/runtime/signal.c).
    """
    begin = at + len(plan.before)
    tail = plan.after + b"\xe9"
    load_entry = b"\x48\x8b\x0d" + _relative(entry, begin + 7)
    native = 2 + 3 + 7 + 3 + 2 + len(tail) + 4  # from behind the load
    code = load_entry + b"\xe3" + bytes([native - 2])  # jrcxz
    code += b"\x49\x89\xcb"  # mov %rcx, %r11
    code += b"\x48\x8d\x0d" + (5).to_bytes(4, "little")  # lea back(%rip), %rcx
    code += b"\x41\xff\xe3"  # jmp *%r11
    code += b"\xeb" + ((-len(code) - 2) & 0xFF).to_bytes(1, "little")
    code += tail
    code += _relative(plan.back, begin + len(code) + 4)
    back = 7 + 2 + 3 + 7 + 3 + 2
    code += b"\x0f\x05\xeb" + ((back - len(code) - 4) & 0xFF).to_bytes(1, "little")
    return plan.before + code


def _relative(target: int, after: int) -> bytes:
    return (target - after).to_bytes(4, "little", signed=True)


def _segments(contents: bytearray) -> list[tuple[int, int, int]]:
    """Return file offset, address and size of each loaded segment."""
    table, size, count = (
        struct.unpack_from("<Q", contents, 32)[0],
        *struct.unpack_from("<HH", contents, 54),
    )
    rows = (struct.unpack_from("<IIQQQQ", contents, table + size * i) for i in range(count))
    return [(row[2], row[3], row[5]) for row in rows if row[0] == 1]


def _address(contents: bytearray, image: Image, offset: int) -> int:
    for begin, address, size in _segments(contents):
        if begin <= offset < begin + size:
            return address + offset - begin
    raise ValueError(f"{image.path}: the stubs are not loaded")


def _offset(contents: bytearray, image: Image, address: int) -> int:
    for begin, start, size in _segments(contents):
        if start <= address < start + size:
            return begin + address - start
    raise ValueError(f"{image.path}: {address:#x} is not loaded")
