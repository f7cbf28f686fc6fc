"""Numbers and structs by their types of types.toml, where strace has nothing special for them."""

from __future__ import annotations

from collections.abc import Callable

from posix_x.decode.memory import Memory
from posix_x.decode.text import address, flags, octal, quoted, signed
from posix_x.decode.view import View
from posix_x.table.rows import SETS, SIZES, STRUCTS

SIGNED = frozenset(
    {"int", "long", "ssize", "off", "s8", "s16", "s32", "s64", "pid", "tid", "pgid", "fd", "id"}
    | {"timerid", "dirfd"}
)
MAP_TYPE = 15
Shower = Callable[[View, bytes, int, Memory], str]  # view, the struct's bytes, where, its memory
SHOWERS: dict[str, Shower] = {}  # structs that strace writes in a way of its own


def shower(name: str) -> Callable[[Shower], Shower]:
    """Register how a struct is shown."""

    def register(function: Shower) -> Shower:
        SHOWERS[name] = function
        return function

    return register


def signal_name(number: int) -> str:
    """Return a signal's name; of a real-time one, counted from the first."""
    if number == 32:
        return "SIGRTMIN"
    if 32 < number <= 64:
        return f"SIGRT_{number - 32}"
    return str(SETS["sig"][2].get(number, number))


def number(view: View, type_: str, value: int) -> str:
    """Return a scalar or a set's value, given as an unsigned number."""
    size = SIZES[type_]
    value &= (1 << size * 8) - 1
    if type_ in SETS:
        if type_ == "sig":
            return signal_name(signed(value, size))
        if type_ == "access_mode" and 0 < value < 8:
            return "|".join(n for bit, n in ((4, "R_OK"), (2, "W_OK"), (1, "X_OK")) if value & bit)
        if type_ == "mmap_flags" and value and not value & MAP_TYPE:
            return "MAP_FILE|" + flags(type_, value)
        known = SETS[type_][2]
        return flags(type_, signed(value, size) if signed(value, size) in known else value)
    if type_ == "fd":
        return view.fd(signed(value, size))
    if type_ == "dirfd":
        return view.dirfd(signed(value, size))
    if type_ in ("uid", "gid"):
        return "-1" if value == 0xFFFFFFFF else str(value)
    if type_ == "mode":
        return octal(value & 0xFFFF)
    if type_ == "addr":
        return address(value)
    if type_ == "key":
        return f"{value:#x}" if value else "IPC_PRIVATE"
    return str(signed(value, size) if type_ in SIGNED else value)


def one(view: View, type_: str, data: bytes, at: int, memory: Memory) -> str:
    """Return a scalar, set or struct of which data are the bytes, found at an address."""
    if type_ in SHOWERS:
        return SHOWERS[type_](view, data, at, memory)
    if type_ not in STRUCTS:
        return number(view, type_, int.from_bytes(data[: SIZES[type_]], "little"))
    if not STRUCTS[type_]:
        return address(at)
    return "{" + ", ".join(fields(view, type_, data, at, memory)) + "}"


def fields(view: View, type_: str, data: bytes, at: int, memory: Memory) -> list[str]:
    """Return a struct's fields, name=value, as far as its bytes go."""
    shown: list[str] = []
    for name, spec, offset in STRUCTS[type_]:
        base, _, count = spec.rstrip("]").partition("[")
        size = SIZES[base]
        if offset + size * int(count or 1) > len(data):
            break
        if not count:
            text = one(view, base, data[offset : offset + size], at + offset, memory)
        elif base == "char":
            text = quoted(data[offset : offset + int(count)].split(bytes(1))[0], int(count))
        else:
            items = (data[offset + i * size : offset + (i + 1) * size] for i in range(int(count)))
            text = "[" + ", ".join(one(view, base, item, 0, memory) for item in items) + "]"
        shown.append(f"{name}={text}")
    return shown


def pointed(view: View, type_: str, at: int, memory: Memory) -> str:
    """Return what an address leads to: NULL, the address where nothing is to be read, or it."""
    size = SIZES[type_]
    data = memory.peek(at, size) if at else b""
    if len(data) < size:
        return address(at)
    text = one(view, type_, data, at, memory)
    return text if type_ in STRUCTS else f"[{text}]"


def overflows(at: int, count: int, size: int) -> bool:
    """Whether an array reaches beyond all addresses."""
    return bool(count) and at + count * size >= 1 << 64


def broken_off(at: int, shown: int, count: int, limit: int, size: int) -> list[str]:
    """Return what stands behind an array's last item that is shown."""
    if shown < limit:
        return [f"... /* {at + shown * size:#x} */"]
    return ["..."] if limit < count else []


LIST_LIMIT = 65536  # items, with -v


def array(view: View, type_: str, at: int, count: int, memory: Memory) -> str:
    """Return an array's items; dots where one cannot be read, or there are more than the limit."""
    if not at:
        return "NULL"
    size = SIZES[type_]
    if count <= 0:
        return "[]"
    limit = min(count, LIST_LIMIT if view.options.verbose else view.options.string_limit)
    data = memory.peek(at, size * limit) if not overflows(at, count, size) else b""
    if len(data) < size:
        return address(at)
    whole = len(data) // size
    items = [
        one(view, type_, data[i * size : (i + 1) * size], at + i * size, memory)
        for i in range(whole)
    ]
    items += broken_off(at, whole, count, limit, size)
    return "[" + ", ".join(items) + "]"
