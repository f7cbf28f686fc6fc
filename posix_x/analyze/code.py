"""Instructions of one function, as capstone prints them, and where they lead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.analyze.image import Image

RIP = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")
LIMIT = 1 << 17  # bytes of a function
PIECE = 192  # bytes decoded at a time: most of it is wanted
LONGEST = 15  # bytes of an instruction
ENDS = frozenset({"ret", "ud2", "int3"})
SYSTEM_CALL = b"\x0f\x05"


class Instruction(NamedTuple):
    """One instruction: its address, its size in bytes, its name, and its operands as text."""

    address: int
    size: int
    name: str
    operands: str

    @property
    def after(self) -> int:
        """The address of what follows."""
        return self.address + self.size

    @property
    def target(self) -> int | None:
        """Where a direct jump or call leads."""
        return int(self.operands, 16) if self.operands.startswith("0x") else None


@dataclass(slots=True)
class Function:
    """What one function does, as far as the graph is concerned; all are addresses.

    calls: code called or jumped to; slots: where the address of what is called stands; refs:
    what it only names, code or data; fields: displacements it reads by; sites: `syscall`.
    """

    start: int
    end: int
    calls: list[tuple[int, int]] = field(default_factory=list)
    slots: list[tuple[int, int]] = field(default_factory=list)
    refs: list[int] = field(default_factory=list)
    fields: list[int] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)


@cache
def _decoder() -> Any:
    import capstone

    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


def decode(image: Image, start: int, end: int, limit: int = LIMIT) -> list[Instruction]:
    """Return the instructions from start to end; what is none is passed over, byte by byte."""
    data = image.bytes_at(start, min(end, start + limit))
    found: list[Instruction] = []
    place = 0
    while place < len(data):
        found += [Instruction(*one) for one in _decoder().disasm_lite(data[place:], start + place)]
        following = found[-1].after - start if found else 0
        place = max(following, place + 1)
    return found


def _runs(image: Image, start: int, end: int) -> Iterator[Instruction]:
    """Yield the instructions from start on, decoded a piece at a time; ends where none stands."""
    while start < end:
        last = start
        for row in _decoder().disasm_lite(image.bytes_at(start, min(end, start + PIECE)), start):
            one = Instruction(*row)
            if one.after > start + PIECE - LONGEST and one.after < end and start != one.address:
                break  # may be cut off
            yield one
            last = one.after
        if last == start:
            return
        start = last


def body(image: Image, start: int) -> list[Instruction]:
    """Return those instructions of the function at start that it can reach, in order.

    Where a jump goes by a table, that is all up to the function's end.
    """
    bounds = image.bounds(start)
    if bounds is None:
        return []
    end = min(bounds[1], start + LIMIT)
    code: dict[int, Instruction] = {}
    todo = [start]
    while todo:
        for one in _runs(image, todo.pop(), end):
            if one.address in code:
                break
            code[one.address] = one
            if one.name.startswith("j") or one.name in ("loop", "xbegin"):
                target = one.target
                if target is None and "rip" not in one.operands:
                    return decode(image, start, end)
                if target is not None and start <= target < end:
                    todo.append(target)
            if one.name in ENDS or one.name.endswith("jmp"):
                break
    return [code[address] for address in sorted(code)]


def survey(image: Image, start: int) -> Function:
    """Return what the function at start leads to."""
    code = body(image, start)
    inside = {one.address for one in code}
    end = code[-1].after if code else start
    found = Function(start, end)
    for one in code:
        _note(one, found, inside)
    found.fields = sorted(set(found.fields))
    found.refs = sorted(set(found.refs))
    return found


def _note(one: Instruction, found: Function, inside: set[int]) -> None:
    name, operands = one.name, one.operands
    leads = name.startswith("j") or name.endswith(("call", "jmp"))
    if name == "syscall":
        found.sites.append(one.address)
    elif leads and one.target is not None:
        if "call" in name or one.target not in inside:
            found.calls.append((one.address, one.target))
    elif "[" in operands:
        place = rip_operand(one)
        if place is not None:
            (found.slots.append((one.address, place)) if leads else found.refs.append(place))
        elif (offset := _displacement(operands)) is not None:
            found.fields.append(offset)


def rip_operand(one: Instruction) -> int | None:
    """Return the address that an operand relative to rip means."""
    match = RIP.search(one.operands)
    if match is None:
        return None
    return one.after + int(match[2], 0) * (1 if match[1] == "+" else -1)


def _displacement(operands: str) -> int | None:
    inner = operands[operands.index("[") + 1 : operands.index("]")]
    _, plus, last = inner.rpartition(" + ")
    if plus and last[0].isdigit():
        return int(last, 0)
    return None


def stub_slot(image: Image, address: int) -> int | None:
    """Return the slot that a stub of the procedure linkage table at address jumps by."""
    for one in decode(image, address, address + 16)[:2]:
        if one.name.endswith("jmp"):
            return rip_operand(one)
        if one.name != "endbr64":
            return None
    return None
