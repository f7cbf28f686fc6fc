"""A call as strace writes it: name, arguments before and after LATE, the result.

strace writes the arguments up to the first that the call fills in when it begins, the others when
it returns; both parts are apart here, for calls that others come between.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posix_x.decode.text import hexadecimal
from posix_x.decode.values import array, number, pointed
from posix_x.decode.view import View
from posix_x.table.rows import ROWS, SIZES

if TYPE_CHECKING:
    from posix_x.decode.memory import Memory

LATE = "\0"  # among the arguments: what follows is written when the call has returned
Arguments = Callable[[View], Iterator[str]]
SPECIAL: dict[str, Arguments] = {}
RESULT_COLUMN = 40
LIST_LIMIT = 65536  # with -v


@dataclass(slots=True)
class Line:
    """entry: "read(0, "; exit: the other arguments and ")"; result: what follows "= "."""

    name: str
    entry: str
    exit: str
    result: str


def pad(text: str, width: int, column: int = RESULT_COLUMN) -> str:
    """Return text, spaces up to where results stand, and the equals sign."""
    return (text + " ").ljust(column - width) + "= "


def special(*names: str) -> Callable[[Arguments], Arguments]:
    """Register how the arguments of calls are written, where the table does not say enough."""

    def register(function: Arguments) -> Arguments:
        for name in names:
            SPECIAL[name] = function
        return function

    return register


def raw(view: View) -> Iterator[str]:
    """Write arguments as numbers."""
    row = ROWS.get(view.nr)
    for value, arg in zip(view.args, row[3] if row else (("", "", "addr"),) * 6, strict=False):
        yield hexadecimal(value & (1 << 8 * SIZES.get(arg[2], 8)) - 1)


def arguments(view: View) -> Iterator[str]:
    """Write arguments by the table."""
    row = ROWS.get(view.nr)
    if row is None:
        yield from (f"{value:#x}" for value in view.args)
        return
    late = False
    for i, (_, kind, *_) in enumerate(row[3]):
        if kind in ("out", "inout") and not late:
            late = True
            yield LATE
        yield argument(view, i)


def argument(view: View, i: int) -> str:
    """Write one argument by the table."""
    _, kind, type_, size, length, form = ROWS[view.nr][3][i]
    at = view.args[i]
    if kind == "path":
        return view.path(at)
    if kind == "str":
        return view.string(at)
    if kind not in ("in", "out", "inout"):
        return number(view, type_, at)
    memory = view.before if kind == "in" else view.after
    if view.failed and kind == "out":
        return number(view, "addr", at)
    if type_ == "bits":
        return words(view, at, view.args[length], memory)
    if type_ == "bytes":
        return view.data(at, _bytes(view, i), memory)
    if form == "array":
        count = size if length < 0 else view.args[length]
        return array(view, type_, at, size // SIZES[type_] if length < 0 else count, memory)
    if form == "strings":
        return strings(view, at)
    return pointed(view, type_, at, memory)


def words(view: View, at: int, bits: int, memory: Memory) -> str:
    """Return a bit mask as the longs that it takes."""
    size = (bits + 63) // 64 * 8
    if at and not size:
        return "[]"
    limit = 8 * view.options.string_limit
    data = memory.peek(at, min(size, limit)) if at and at + size < 1 << 64 else b""
    if not data or len(data) % 8:
        return f"{at:#x}" if at else "NULL"
    shown = [f"{w:#016x}" if w else "0" * 16 for (w,) in struct.iter_unpack("<Q", data)]
    shown += ["..."] if size > limit else []
    return "[" + ", ".join(shown) + "]"


def _bytes(view: View, i: int) -> int:
    """Return how much of a buffer there is to show: what the call returned, where it fills it."""
    _, kind, _, _, length, form = ROWS[view.nr][3][i]
    if form == "deref":
        data = view.after.peek(view.args[length], 4)
        return int.from_bytes(data, "little")
    limit: int = view.args[length]
    if ROWS[view.nr][3][length][2] in ("int", "uint"):
        limit &= 0xFFFFFFFF
    if kind == "out" and ROWS[view.nr][4] == "size" and view.result is not None:
        return min(limit, max(view.result, 0))
    return limit


def strings(view: View, at: int) -> str:
    """Return an array of strings up to its null pointer."""
    shown: list[str] = []
    if not at:
        return "NULL"
    limit = LIST_LIMIT if view.options.verbose else view.options.string_limit
    for i in range(limit + 1):
        pointer = view.before.peek(at + 8 * i, 8)
        if len(pointer) < 8:
            shown.append(f"... /* {at + 8 * i:#x} */")
            break
        if not any(pointer):
            break
        if i == limit:
            shown.append("...")
            break
        shown.append(view.string(int.from_bytes(pointer, "little")))
    if len(shown) == 1 and shown[0].startswith("... /*"):
        return f"{at:#x}"
    return "[" + ", ".join(shown) + "]"


def decode(view: View) -> Line:
    """Write a call; of one that has not returned, exit is empty."""
    parts: list[str] = []
    before = -1
    writes = raw if view.nr in view.options.raw else SPECIAL.get(view.name, arguments)
    for part in writes(view):
        if part == LATE:
            if before < 0:
                before = len(parts)
                if view.result is None:
                    break
        else:
            parts.append(part)
    entry = ", ".join(parts[:before] if before >= 0 else parts)
    exit_ = ")"
    if before >= 0:
        comma = ", " if before and (len(parts) > before or view.result is None) else ""
        if view.name == "clone":  # whose decoder writes the comma with what follows
            exit_ = comma + ", ".join(parts[before:]) + ")"
        else:
            exit_ = ", ".join(parts[before:]) + ")"
            entry += comma
    result = view.result_text()
    note = f" ({view.note})" if view.note else ""
    return Line(
        view.name, f"{view.name}({entry}", exit_ if view.result is not None else "", result + note
    )
