"""The language of the cases: a line of calls becomes what caller.c reads.

A case is a line such as

    fd=openat(CWD, "file", O_RDWR); read(fd, out(4), 4)

Each step is a Python expression in which calls, the constants of types.toml and the fds of world.h
have their names. A name before = keeps a result for later steps; ~ before a step shows of its
result only whether it is an error, p: a process, - nothing. `child` in a case gives it a child that
sleeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posix_x.table import schema

HERE = Path(__file__).parent
TYPES = schema.load_types()
CALLS = {call.name: call for call in schema.load_calls(TYPES)}
MASK = (1 << 64) - 1
HIGH = 0x5A5A5A5A << 32  # what the upper half of a register may hold beside an int
MORE = {
    "CWD": -100,
    "NULL": 0,
    "BAD": 0x100023000000,  # unmapped
    "RO": 0x100022000000,
    "KERNEL": 0xFFFF888000000000,
    "NONCANON": 0x8000000000000000,
    "CLOSED": 45,
    "UNKNOWN": 4000000,  # above pid_max as it is by default
    "INT_MAX": 0x7FFFFFFF,
    "INT_MIN": -0x80000000,
    "HIGH": HIGH,
    "SCRATCH": 0x110000000000,  # free for mmap
}


class Raw(str):
    """An argument as caller.c reads it."""

    __slots__ = ()


# Calls whose result says something of the run: only whether it is 0 or an error is shown.
UNSTEADY = {
    CALLS[name].nr: "z" for name in ("kcmp", "time", "times", "keyctl", "add_key", "request_key")
}


class Step:
    """One call with its arguments."""

    def __init__(self, nr: int, ret: str, args: tuple[Any, ...]) -> None:
        self.nr = nr
        self.args = args
        self.how = UNSTEADY.get(nr) or {
            "pid": "p",
            "tid": "p",
            "pgid": "p",
            "addr": "~",
            "none": "d",
        }.get(ret, "d")

    def line(self, how: str = "") -> str:
        """Return the step as caller.c reads it."""
        return " ".join([f"{how or self.how}{self.nr}", *(token(arg) for arg in self.args)])


def token(value: Any) -> str:
    """Return an argument as caller.c reads it: numbers, strings with their NUL, bytes."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, int):
        return f"#{value & MASK}"
    data = value.encode() + b"\0" if isinstance(value, str) else value
    return f"s{data.hex()}"


def out(size: int, show: str = "x") -> Raw:
    """Memory for an answer; show: x hex, h as many bytes as the result, t text, i ints with pids,
    S a stat, X a statx, ? only whether it was touched."""
    return Raw(f"b{size},{show}")


def edge(data: bytes | str) -> Raw:
    """Bytes, the last of which ends a page with nothing behind it."""
    return Raw(f"e{(data.encode() if isinstance(data, str) else data).hex()}")


def edge_out(size: int) -> Raw:
    """The last size bytes of a page with nothing behind it."""
    return Raw(f"g{size}")


def sized(width: int) -> Any:
    """Return the function that makes a field of a record."""
    return lambda value: Raw(f"{width}:{token(value)}")


def rec(*fields: Raw, show: str = "-") -> Raw:
    """A struct of fields made by i1, i2, i4, i8."""
    return Raw(f"({show} {' '.join(fields)} )")


def array(width: int) -> Any:
    """Return the function that makes an array of numbers or pointers."""
    return lambda *values, show="-": rec(*(sized(width)(value) for value in values), show=show)


def iov(*parts: tuple[Any, int]) -> Raw:
    """An array of struct iovec."""
    return array(8)(*(value for part in parts for value in part))


def enum_fds() -> dict[str, int]:
    """Read the fds' names and numbers from world.h."""
    text = (HERE / "world.h").read_text()
    names = re.findall(r"^    FD_(\w+)", text, re.MULTILINE)
    return {name.lower(): 10 + i for i, name in enumerate(names[: names.index("END")])}


FDS = enum_fds()
VARIABLES = {
    name: Raw(f"v{i}") for i, name in enumerate(["self", "child", "parent", "group", "session"])
}
STEP_VARIABLE = len(VARIABLES)


def namespace() -> dict[str, Any]:
    """Return every name that a case may use."""
    names: dict[str, Any] = {}
    for row in TYPES.sets.values():
        for name, value in row["values"].items():
            names.setdefault(name, value)
    for call in CALLS.values():
        names[call.name] = lambda *args, _call=call: Step(_call.nr, _call.ret, args)
    names |= {"call": lambda nr, *args: Step(nr, "int", args)}
    names |= {"out": out, "edge": edge, "edge_out": edge_out, "rec": rec, "iov": iov, "Raw": Raw}
    names |= {f"i{width}": sized(width) for width in (1, 2, 4, 8)}
    names |= {"ints": array(4), "longs": array(8), "shorts": array(2)}
    names |= {"no_child": Raw("n1"), "no_group": Raw("n3"), "no_self": Raw("n0")}
    return names | MORE | FDS | VARIABLES


NAMES = namespace()


def compiled(text: str) -> str:
    """Return a case's line for caller.c. Errors: whatever Python says of a faulty expression."""
    names = dict(NAMES)
    lines = []
    for i, part in enumerate(split_steps(text)):
        match = re.fullmatch(r"([~-]|p:)?\s*(?:(\w+)=)?(.*)", part.strip())
        assert match is not None
        step = eval(match[3], {"__builtins__": {"bytes": bytes, "range": range}}, names)
        lines.append(step.line((match[1] or "")[:1]))
        if match[2]:
            names[match[2]] = Raw(f"v{STEP_VARIABLE + i}")
    flags = "c" if re.search(r"\b(no_)?child\b", text) else "-"
    return " ; ".join([flags, *lines])


def split_steps(text: str) -> list[str]:
    """Split a line at its semicolons, but for those in strings."""
    return [part for part in re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', text) if part.strip()]


def written(path: Path) -> Iterator[str]:
    """Give the cases of a file: lines that are neither empty nor comments."""
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()
