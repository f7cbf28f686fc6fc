"""Who made a call: frames of a stopped task, found by the call frame information of its ELF files.

Source: DWARF 5, section 6.4; LSB Core, .eh_frame and .eh_frame_hdr. Registers have DWARF's numbers.
Where there is none, frame pointers are followed, as libunwind does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exo_um.trace.cfi import RBP, RIP, RSP, Rules, UnwindError, evaluate

if TYPE_CHECKING:
    from exo_um.trace.images import Images
    from posix_x.decode.memory import Memory

FRAME_LIMIT = 256  # as strace's
CHUNK = 1024
WORD = (1 << 64) - 1
Registers = dict[int, int]


class Stack:
    """A task's memory, read in pieces, as it is during one walk."""

    def __init__(self, memory: Memory) -> None:
        """Read from memory."""
        self._memory = memory
        self._pieces: dict[int, bytes] = {}

    def word(self, at: int) -> int:
        """Return the 8 bytes at an address. Errors: UnwindError."""
        number, place = divmod(at, CHUNK)
        piece = self._pieces.get(number)
        if piece is None:
            piece = self._pieces[number] = self._memory.peek(number * CHUNK, CHUNK)
        data = piece[place : place + 8]
        if len(data) < 8:
            data = self._memory.peek(at, 8)
        if len(data) < 8:
            raise UnwindError
        return int.from_bytes(data, "little")


def walk(images: Images, memory: Memory, registers: Registers) -> list[int]:
    """Return where each frame is, from the caller outwards: its own rip, then return addresses."""
    stack = Stack(memory)
    places: list[int] = []
    before = False  # what is looked up is the byte before: a call may be the last instruction
    while len(places) < FRAME_LIMIT:
        at = registers[RIP]
        places.append(at)
        try:
            rules = images.rules(at - before)
            above = _by_rules(rules, registers, stack) if rules else _by_pointer(registers, stack)
        except UnwindError:
            break
        if above[RIP] == 0 or (above[RIP], above[RSP]) == (at, registers[RSP]):
            break
        if not images.has(above[RIP]):
            break
        before = not (rules and rules.signal)
        registers = above
    return places


def _by_rules(rules: Rules, registers: Registers, stack: Stack) -> Registers:
    frame = rules.frame(registers, stack.word)
    above = {**registers, RSP: frame}
    if RIP not in rules.saved:
        raise UnwindError
    for number, (kind, value) in rules.saved.items():
        if kind == "offset":
            assert isinstance(value, int)
            above[number] = stack.word(frame + value & WORD)
        elif kind == "val_offset":
            assert isinstance(value, int)
            above[number] = frame + value & WORD
        elif kind == "register":
            assert isinstance(value, int)
            above[number] = registers.get(value, 0)
        elif kind == "undefined":
            above.pop(number, None)
        else:
            assert isinstance(value, bytes)
            found = evaluate(value, registers, stack.word, [frame])
            above[number] = stack.word(found) if kind == "expression" else found
    if RIP not in above:
        raise UnwindError
    return above


def _by_pointer(registers: Registers, stack: Stack) -> Registers:
    frame = registers.get(RBP, 0)
    if frame < registers[RSP] or frame % 8:
        raise UnwindError
    return {**registers, RBP: stack.word(frame), RIP: stack.word(frame + 8), RSP: frame + 16}
