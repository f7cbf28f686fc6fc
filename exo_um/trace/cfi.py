"""Call frame information: from a position of code to where the caller's registers are.

Source: DWARF 5, sections 6.4 and 2.5; System V ABI x86-64, figure 3.36.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

RBP, RSP, RIP = 6, 7, 16
WORD = (1 << 64) - 1
Word = Callable[[int], int]  # the 8 bytes at an address
Rule = tuple[str, int | bytes]


class UnwindError(Exception):
    """There is no way up from here."""


class Reader:
    """Numbers out of bytes."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Begin at a place of data."""
        self.data = data
        self.at = at

    def fixed(self, size: int, signed: bool = False) -> int:
        """Return a number of so many bytes."""
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little", signed=signed)

    def uleb(self) -> int:
        """Return an unsigned LEB128."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def sleb(self) -> int:
        """Return a signed LEB128."""
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def block(self) -> bytes:
        """Return bytes behind their number."""
        size = self.uleb()
        self.at += size
        return self.data[self.at - size : self.at]

    def pointer(self, encoding: int, here: int) -> int:
        """Return a pointer; here: the address of the place that is read, for relative ones."""
        kind = encoding & 0x0F
        if kind == 1:
            value = self.uleb()
        elif kind == 9:
            value = self.sleb()
        else:
            size = {0: 8, 2: 2, 3: 4, 4: 8, 0xA: 2, 0xB: 4, 0xC: 8}[kind]
            value = self.fixed(size, signed=kind >= 8)
        return value + here & WORD if encoding & 0x70 == 0x10 and value else value & WORD


@dataclass
class Rules:
    """Where the frame and the caller's registers, by number, are; signal: a handler's return."""

    register: int = RSP
    offset: int = 0
    expression: bytes | None = None
    saved: dict[int, Rule] = field(default_factory=dict)
    signal: bool = False

    def copy(self) -> Rules:
        """Return the same rules, to be changed."""
        return Rules(self.register, self.offset, self.expression, dict(self.saved), self.signal)

    def frame(self, registers: dict[int, int], word: Word) -> int:
        """Return the address of the frame: the caller's stack pointer. Errors: UnwindError."""
        if self.expression is not None:
            return evaluate(self.expression, registers, word, [])
        if self.register not in registers:
            raise UnwindError
        return registers[self.register] + self.offset & WORD


@dataclass
class Common:
    """What entries share: a CIE."""

    code_factor: int
    data_factor: int
    encoding: int
    program: bytes
    signal: bool
    augmented: bool


def common(data: bytes, at: int) -> Common:
    """Return the CIE at a place of .eh_frame. Errors: UnwindError."""
    read = Reader(data, at)
    end = read.fixed(4) + read.at
    read.at += 5  # identifier and version
    stop = data.index(b"\0", read.at)
    letters = data[read.at : stop].decode("latin-1")
    read.at = stop + 1
    code, factor = read.uleb(), read.sleb()
    read.uleb()  # the return address's column
    encoding = 0
    begin = read.at
    if letters[:1] == "z":
        size = read.uleb()
        begin = read.at + size
        for letter in letters[1:]:
            if letter == "R":
                encoding = read.fixed(1)
            elif letter == "P":
                kind = read.fixed(1)
                read.pointer(kind, 0)
            elif letter == "L":
                read.fixed(1)
    elif letters:
        raise UnwindError
    return Common(code, factor, encoding, data[begin:end], "S" in letters, letters[:1] == "z")


def rules_at(data: bytes, at: int, base: int, pc: int) -> Rules | None:
    """Return the rules for an address by the FDE at a place of data, which begins at address base.

    None: the entry is of other code. Errors: UnwindError, IndexError, KeyError: it is malformed.
    """
    read = Reader(data, at)
    end = read.fixed(4) + read.at
    shared = common(data, read.at - read.fixed(4))
    start = read.pointer(shared.encoding, base + read.at)
    size = read.pointer(shared.encoding & 0x0F, 0)
    if not start <= pc < start + size:
        return None
    if shared.augmented:
        read.block()
    first = Rules(signal=shared.signal)
    run(shared, shared.program, first, first, None, start, base)
    return run(shared, data[read.at : end], first.copy(), first, pc, start, base)


def run(  # noqa: C901 - one branch for each instruction
    shared: Common, program: bytes, now: Rules, first: Rules, pc: int | None, at: int, base: int
) -> Rules:
    """Carry out instructions, up to those for addresses behind pc."""
    read = Reader(program)
    kept: list[Rules] = []
    while read.at < len(program):
        byte = read.fixed(1)
        high, low = byte & 0xC0, byte & 0x3F
        if high == 0x40 or byte in (0x01, 0x02, 0x03, 0x04):
            if byte == 0x01:
                at = read.pointer(shared.encoding, base)
            else:
                size = {2: 1, 3: 2, 4: 4}.get(byte, 0)
                at += (low if high else read.fixed(size)) * shared.code_factor
            if pc is not None and at > pc:
                break
        elif high == 0x80:
            now.saved[low] = ("offset", read.uleb() * shared.data_factor)
        elif high == 0xC0 or byte == 0x06:
            number = low if high else read.uleb()
            now.saved.pop(number, None)
            if number in first.saved:
                now.saved[number] = first.saved[number]
        elif byte == 0x0A:
            kept.append(now.copy())
        elif byte == 0x0B and kept:
            now = kept.pop()
        elif byte in (0x0C, 0x12):
            now.register, now.expression = read.uleb(), None
            now.offset = read.uleb() if byte == 0x0C else read.sleb() * shared.data_factor
        elif byte == 0x0D:
            now.register, now.expression = read.uleb(), None
        elif byte in (0x0E, 0x13):
            now.offset = read.uleb() if byte == 0x0E else read.sleb() * shared.data_factor
        elif byte == 0x0F:
            now.expression = read.block()
        elif not _save(read, byte, now, shared.data_factor):
            raise UnwindError
    return now


def _save(read: Reader, byte: int, now: Rules, factor: int) -> bool:
    """Carry out an instruction about one register; False: it is none."""
    if byte == 0x00:
        return True
    if byte == 0x2E:  # DW_CFA_GNU_args_size
        read.uleb()
        return True
    if byte not in (0x05, 0x07, 0x08, 0x09, 0x10, 0x11, 0x14, 0x15, 0x16):
        return False
    number = read.uleb()
    if byte == 0x08:  # same value
        now.saved.pop(number, None)
    elif byte == 0x07:
        now.saved[number] = ("undefined", 0)
    elif byte == 0x09:
        now.saved[number] = ("register", read.uleb())
    elif byte in (0x10, 0x16):
        now.saved[number] = ("expression" if byte == 0x10 else "val_expression", read.block())
    else:
        away = read.uleb() if byte in (0x05, 0x14) else read.sleb()
        kind = "offset" if byte in (0x05, 0x11) else "val_offset"
        now.saved[number] = (kind, away * factor)
    return True


def evaluate(code: bytes, registers: dict[int, int], word: Word, stack: list[int]) -> int:
    """Return an expression's value. Errors: UnwindError: it has what frames never need."""
    read = Reader(code)
    while read.at < len(code):
        op = read.fixed(1)
        if 0x30 <= op <= 0x4F:
            stack.append(op - 0x30)
        elif 0x70 <= op <= 0x8F:
            stack.append(registers.get(op - 0x70, 0) + read.sleb() & WORD)
        elif op in (0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F):
            stack.append(read.fixed(1 << (op - 8) // 2, signed=bool(op & 1)) & WORD)
        elif op in (0x10, 0x11):
            stack.append((read.uleb() if op == 0x10 else read.sleb()) & WORD)
        elif op == 0x06:
            stack.append(word(stack.pop()))
        elif op == 0x12:
            stack.append(stack[-1])
        elif op == 0x23:
            stack.append(stack.pop() + read.uleb() & WORD)
        elif op in _BINARY:
            right, left = stack.pop(), stack.pop()
            stack.append(_BINARY[op](left, right) & WORD)
        else:
            raise UnwindError
    if not stack:
        raise UnwindError
    return stack[-1]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_BINARY: dict[int, Callable[[int, int], int]] = {
    0x1A: lambda a, b: a & b,
    0x1C: lambda a, b: a - b,
    0x1E: lambda a, b: a * b,
    0x21: lambda a, b: a | b,
    0x22: lambda a, b: a + b,
    0x24: lambda a, b: a << (b & 63),
    0x25: lambda a, b: a >> (b & 63),
    0x29: lambda a, b: a == b,
    0x2A: lambda a, b: _signed(a) >= _signed(b),
    0x2B: lambda a, b: _signed(a) > _signed(b),
    0x2C: lambda a, b: _signed(a) <= _signed(b),
    0x2D: lambda a, b: _signed(a) < _signed(b),
}
