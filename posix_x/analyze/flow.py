"""The numbers that reach a `syscall`: what each register and stack slot may hold, forwards.

A value is a set of atoms: a number; ("arg", where) for what the function was entered with, a
register or an offset from its stack pointer then; ("at", register, offset) for what stood there;
("sp", offset); and UNKNOWN. What cannot be
followed becomes UNKNOWN, so a result without it is all there is, memory shared with others aside.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from posix_x.analyze.code import Instruction

Where = str | int | tuple[str, int]  # a register, an offset on the stack, or what one points to
Atom = int | str | tuple[str, int | str] | tuple[str, str, int]
Value = frozenset[Atom]
State = dict[str | int, Value]

UNKNOWN: Atom = "?"
NOTHING_KNOWN: Value = frozenset({UNKNOWN})
MANY = 32  # atoms of a value
PATIENCE = 40  # times that one block is gone through
LEGACY = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
REGISTERS = (*("r" + name for name in LEGACY), *(f"r{number}" for number in range(8, 16)))
SCRATCH = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")
WIDE = {name: name for name in REGISTERS}
HALF = {f"e{name}": f"r{name}" for name in LEGACY} | {f"r{n}d": f"r{n}" for n in range(8, 16)}
PARTS = {name: f"r{name}" for name in LEGACY}
PARTS |= {f"{name[0]}{end}": f"r{name}" for name in LEGACY[:4] for end in "lh"}
PARTS |= {f"{name}l": f"r{name}" for name in LEGACY[4:]}
PARTS |= {f"r{number}{end}": f"r{number}" for number in range(8, 16) for end in "wb"}
ANY = WIDE | HALF | PARTS
MEMORY = re.compile(
    r"(?:(?P<size>\w+) ptr )?\[(?P<base>\w+)(?: (?P<sign>[+-]) (?P<by>0x[0-9a-f]+|\d+))?\]"
)
READS_ONLY = ("cmp", "test", "bt", "xchg", "hlt", "lfence", "ucomiss", "ucomisd", "comisd")
HARMLESS = ("j", "nop", "endbr", "prefetch")  # how their names begin


def values_at(code: list[Instruction], wanted: Iterable[int]) -> dict[int, State]:
    """Return what is known before each of the wanted addresses of a function's code."""
    return _Flow(code, frozenset(wanted)).run()


class _Flow:
    """One function, gone through until nothing new is learned."""

    def __init__(self, code: list[Instruction], wanted: frozenset[int]) -> None:
        self.code = code
        self.index = {one.address: number for number, one in enumerate(code)}
        self.wanted = wanted
        self.leaders = self._leaders()
        self.before: dict[int, State] = {}
        self.visits: dict[int, int] = {}
        self.found: dict[int, State] = {}
        self.by_table: State | None = None

    def _leaders(self) -> set[int]:
        leaders = {0}
        for number, one in enumerate(self.code):
            if one.name.startswith("j"):
                leaders.add(number + 1)
                if one.target in self.index:
                    leaders.add(self.index[one.target])
            elif one.name in ("ret", "ud2") or one.name.endswith("jmp"):
                leaders.add(number + 1)
        return leaders

    def run(self) -> dict[int, State]:
        """Go through all blocks, those that only a table leads to last."""
        if self.code:
            self._enter(0, entered())
        for leader in sorted(self.leaders):
            while leader < len(self.code) and self.code[leader].name == "nop":
                leader += 1  # noqa: PLW2901 - padding
            if self.by_table is not None and leader < len(self.code) and leader not in self.before:
                self._enter(leader, dict(self.by_table))
        return self.found

    def _enter(self, leader: int, state: State) -> None:
        self.before[leader] = state
        todo = [leader]
        while todo:
            for target, reached in list(self._block(todo.pop())):
                known = self.before.get(target)
                merged = reached if known is None else join(known, reached)
                if merged != known and self.visits.get(target, 0) < PATIENCE:
                    self.before[target] = merged
                    todo.append(target)

    def _block(self, number: int) -> Iterator[tuple[int, State]]:
        """Go through one block; yield what follows it, and what is known there."""
        self.visits[number] = self.visits.get(number, 0) + 1
        state = dict(self.before[number])
        while number < len(self.code):
            one = self.code[number]
            if one.address in self.wanted:
                known = self.found.get(one.address)
                self.found[one.address] = dict(state) if known is None else join(known, state)
            step(one, state)
            if one.name.startswith("j") and one.target in self.index:
                yield self.index[one.target], state
            if one.name.endswith("jmp") and one.target is None:
                self.by_table = state if self.by_table is None else join(self.by_table, state)
            if one.name in ("ret", "ud2") or one.name.endswith("jmp"):
                return
            number += 1
            if number in self.leaders:
                yield number, state
                return


def entered() -> State:
    """Return what is known at a function's entry."""
    state: State = {name: frozenset({("arg", name)}) for name in REGISTERS}
    state["rsp"] = frozenset({("sp", 0)})
    return state


def join(one: State, other: State) -> State:
    """Return what is known where two ways meet."""
    joined: State = {}
    for key in one.keys() | other.keys():
        here, there = _of(one, key), _of(other, key)
        both = here | there
        joined[key] = both if len(both) <= MANY else NOTHING_KNOWN
    return joined


def _of(state: State, key: str | int) -> Value:
    """Return what a register or stack slot holds; a slot above the return address: argument."""
    value = state.get(key)
    if value is not None:
        return value
    return frozenset({("arg", key)}) if isinstance(key, int) and key > 0 else NOTHING_KNOWN


def argument(state: State, where: Where, *, at_call: bool) -> Value:
    """Return what a called function finds in its argument `where`.

    at_call: the return address is still to be pushed; a jump leaves the stack as it is.
    """
    if isinstance(where, str):
        return _of(state, where)
    if isinstance(where, tuple):
        return _load(state, f"[{where[0]} + {where[1]}]")
    offset = _stack(state["rsp"])
    return NOTHING_KNOWN if offset is None else _of(state, offset + where - (8 if at_call else 0))


def _stack(value: Value) -> int | None:
    if len(value) == 1:
        (atom,) = value
        if isinstance(atom, tuple) and atom[0] == "sp" and isinstance(atom[1], int):
            return atom[1]
    return None


def step(one: Instruction, state: State) -> None:
    """Change state as an instruction does."""
    name = one.name
    to, _, source = one.operands.partition(", ")
    if name in ("mov", "movabs", "movzx", "movsxd", "movsx", "lea"):
        _store(state, to, _lea(state, source) if name == "lea" else _load(state, source))
    elif name in ("xor", "sub") and to == source:
        _store(state, to, frozenset({0}))
    elif name in ("add", "sub", "or", "and", "xor"):
        _store(state, to, _compute(name, _load(state, to), _load(state, source)))
    elif name.startswith("cmov"):
        _store(state, to, _load(state, to) | _load(state, source))
    elif name in ("push", "pop", "leave"):
        _step_stack(name, to, state)
    elif name in ("inc", "dec"):
        _store(
            state, to, _compute("add" if name == "inc" else "sub", _load(state, to), frozenset({1}))
        )
    elif name.endswith("call"):
        for register in ("rax", "rcx", "r11") if name == "syscall" else SCRATCH:
            state[register] = NOTHING_KNOWN
    elif name == "xchg" and to != source:
        here, there = _load(state, to), _load(state, source)
        _store(state, to, there)
        _store(state, source, here)
    elif name not in READS_ONLY and not name.startswith(HARMLESS):
        _forget(one, state, to)


def _step_stack(name: str, to: str, state: State) -> None:
    if name == "push":
        value = _load(state, to)
        _move_stack(state, -8)
        _store(state, "qword ptr [rsp]", value)
        return
    if name == "leave":
        state["rsp"], to = state["rbp"], "rbp"
    value = _load(state, "qword ptr [rsp]")
    _move_stack(state, 8)
    _store(state, to, value)


def _forget(one: Instruction, state: State, to: str) -> None:
    """Take what an instruction of no special kind writes as unknown."""
    _store(state, to, NOTHING_KNOWN)
    if one.name in ("cpuid", "rdtsc", "rdtscp", "mul", "imul", "div", "idiv", "cdq", "cqo", "cdqe"):
        for register in ("rax", "rbx", "rcx", "rdx") if one.name == "cpuid" else ("rax", "rdx"):
            state[register] = NOTHING_KNOWN
    if "cmpxchg" in one.name or "xadd" in one.name:
        state["rax"] = NOTHING_KNOWN
        _store(state, one.operands.partition(", ")[2], NOTHING_KNOWN)
    if one.name.startswith("rep"):
        for register in ("rcx", "rsi", "rdi"):
            state[register] = NOTHING_KNOWN


def _move_stack(state: State, by: int) -> None:
    offset = _stack(state["rsp"])
    state["rsp"] = NOTHING_KNOWN if offset is None else frozenset({("sp", offset + by)})


def _slot(state: State, operand: str) -> int | None:
    """Return the offset from the entry's stack pointer that a memory operand means."""
    match = MEMORY.fullmatch(operand)
    if match is None or match["base"] not in WIDE:
        return None
    base = _stack(state.get(match["base"], NOTHING_KNOWN))
    if base is None:
        return None
    by = int(match["by"], 0) if match["by"] else 0
    return base - by if match["sign"] == "-" else base + by


def _pointed(state: State, operand: str) -> Value:
    """Return what stands at a place that an argument points to: the caller may know."""
    match = MEMORY.fullmatch(operand)
    if match is None or match["base"] not in WIDE or match["sign"] == "-":
        return NOTHING_KNOWN
    base = _of(state, match["base"])
    atom = next(iter(base)) if len(base) == 1 else UNKNOWN
    if isinstance(atom, tuple) and atom[0] == "arg" and isinstance(atom[1], str):
        return frozenset({("at", atom[1], int(match["by"] or "0", 0))})
    return NOTHING_KNOWN


def _load(state: State, operand: str) -> Value:
    if operand in WIDE:
        return _of(state, operand)
    if operand in HALF:
        value = _of(state, HALF[operand])
        return frozenset(atom & 0xFFFFFFFF if isinstance(atom, int) else atom for atom in value)
    if operand in PARTS:
        return NOTHING_KNOWN
    if operand.endswith("]"):
        slot = _slot(state, operand)
        return _pointed(state, operand) if slot is None else _of(state, slot)
    try:
        return frozenset({int(operand, 0)})
    except ValueError:
        return NOTHING_KNOWN


def _lea(state: State, operand: str) -> Value:
    match = MEMORY.fullmatch(operand)
    if match is None or match["base"] not in WIDE:
        return NOTHING_KNOWN
    by = frozenset({int(match["by"], 0) if match["by"] else 0})
    return _compute("sub" if match["sign"] == "-" else "add", _of(state, match["base"]), by)


def _store(state: State, operand: str, value: Value) -> None:
    if operand in WIDE:
        state[operand] = value
    elif operand in HALF:
        state[HALF[operand]] = frozenset(
            atom & 0xFFFFFFFF if isinstance(atom, int) else atom for atom in value
        )
    elif operand in PARTS:
        state[PARTS[operand]] = NOTHING_KNOWN
    elif operand.endswith("]"):
        slot = _slot(state, operand)
        if slot is not None:
            narrow = operand.startswith(("byte", "word"))
            state[slot] = NOTHING_KNOWN if narrow else value


def _compute(name: str, left: Value, right: Value) -> Value:
    """Return the results of an operation on numbers, and of moving a stack address."""
    results: set[Atom] = set()
    for one in left:
        for other in right:
            results.add(_compute_one(name, one, other))
    return frozenset(results) if len(results) <= MANY else NOTHING_KNOWN


def _compute_one(name: str, one: Atom, other: Atom) -> Atom:
    if isinstance(one, tuple) and one[0] == "sp" and isinstance(other, int):
        offset, sign = one[1], {"add": 1, "sub": -1}.get(name)
        if isinstance(offset, int):
            if sign:
                return ("sp", offset + sign * other)
            # The stack pointer is only ever aligned like this; slots below are written after it.
            return (
                ("sp", offset)
                if name == "and" and other in (-16, -32, -64, 2**64 - 16)
                else UNKNOWN
            )
    if not isinstance(one, int) or not isinstance(other, int):
        if name == "or" and -1 in (one, other):
            return -1
        return UNKNOWN
    if name == "add":
        return one + other
    if name == "sub":
        return one - other
    return {"or": one | other, "and": one & other, "xor": one ^ other}[name]
