"""The format of syscalls.toml, types.toml and names.toml: reads them and checks every row.

Used by generate.py and by the tests; a running kernel imports the generated rows.py instead.
"""

import errno
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TIERS = ("fast", "hybrid", "pass", "legacy", "none")
FAMILIES = frozenset(
    {"aio", "cred", "file", "fs", "ipc", "key", "memory", "misc", "mount", "notify", "poll"}
    | {"process", "resource", "sched", "security", "signal", "socket", "system", "time", "trace"}
)
KEYS = frozenset({"nr", "name", "tier", "family", "args", "ret", "cloexec", "error", "note"})
DIRECTIONS = ("in", "out", "inout")
HANDLES = {"fd": "fd", "dirfd": "dirfd", "pid": "pid", "tid": "pid", "pgid": "pid"}
FIXED = -1
NO_CLOEXEC = -1
ALWAYS_CLOEXEC = -2
MAX_ARGS = 6
MAX_SIZE = 0xFFFF

_MEMORY = re.compile(
    r"(?P<base>\w+)(?:\[(?P<count>\d+)\]|\[(?P<star>\*?)(?P<length>[a-z_]\w*)\]|\{(?P<bytes>\w+)\})?"
)
_NOT_AT = frozenset({"creat", "lstat", "stat"})


class SchemaError(Exception):
    """A row that breaks the format; the text names the row."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of a call.

    kind is raw, fd, dirfd, pid, path, str, in, out or inout. For the last three: size is in
    bytes, of the whole when length is FIXED, else of one unit, argument number length giving
    how many. form is one, array or sized for memory of such a size; bits (length in bits), deref
    (length points to the length) or strings for memory whose size no table can give; else "".
    """

    name: str
    kind: str
    type: str
    size: int = 0
    length: int = FIXED
    form: str = ""

    @property
    def stageable(self) -> bool:
        """Whether size and length say how much memory to copy."""
        return self.form in ("one", "array", "sized")


@dataclass(frozen=True, slots=True)
class Call:
    """One row of syscalls.toml; error is an errno, cloexec_arg an index or *_CLOEXEC."""

    nr: int
    name: str
    tier: str
    family: str
    args: tuple[Arg, ...]
    ret: str
    cloexec_arg: int
    cloexec_flag: int
    error: int
    note: str


@dataclass(frozen=True, slots=True)
class Types:
    """types.toml and names.toml: size in bytes of each scalar, set and struct, and the tables."""

    sizes: Mapping[str, int]
    scalars: Mapping[str, Any]
    structs: Mapping[str, Any]
    sets: Mapping[str, Any]


def load_types(path: Path = FOLDER / "types.toml", names: Path = FOLDER / "names.toml") -> Types:
    """Read types.toml and names.toml. Errors: SchemaError, a set of an unknown C type, or twice."""
    table, more = (tomllib.loads(file.read_text()) for file in (path, names))
    scalars, structs, sets = table["scalar"], table["struct"], table["set"] | more["set"]
    if twice := table["set"].keys() & more["set"].keys():
        raise SchemaError(f"sets {sorted(twice)} stand in both files")
    sizes = {name: int(row["size"]) for name, row in (scalars | structs).items()}
    for name, row in sets.items():
        if row["c"] not in scalars or row["kind"] not in ("bits", "enum"):
            raise SchemaError(f"set {name}: c or kind unknown")
        sizes[name] = sizes[row["c"]]
    return Types(sizes, scalars, structs, sets)


def load_calls(types: Types, path: Path = FOLDER / "syscalls.toml") -> list[Call]:
    """Read syscalls.toml in its order. Errors: SchemaError for the first row it cannot read."""
    return [read_call(row, types) for row in tomllib.loads(path.read_text())["call"]]


def read_call(row: Mapping[str, Any], types: Types) -> Call:
    """Turn one [[call]] table into a Call. Errors: SchemaError, the text naming the call."""
    try:
        if unknown := row.keys() - KEYS:
            raise SchemaError(f"unknown keys {sorted(unknown)}")
        args = _read_args(row["args"], types)
        cloexec_arg, cloexec_flag = _read_cloexec(row.get("cloexec", ""), args)
        error = getattr(errno, row["error"]) if "error" in row else 0
        return Call(
            nr=row["nr"],
            name=row["name"],
            tier=row["tier"],
            family=row["family"],
            args=args,
            ret=row.get("ret", "int"),
            cloexec_arg=cloexec_arg,
            cloexec_flag=cloexec_flag,
            error=error,
            note=row.get("note", ""),
        )
    except (AttributeError, KeyError, SchemaError, ValueError) as problem:
        raise SchemaError(f"{row.get('name', row)}: {problem}") from problem


def _read_args(text: str, types: Types) -> tuple[Arg, ...]:
    pairs = [tuple(part.split()) for part in text.split(",")] if text else []
    for pair in pairs:
        if len(pair) != 2:
            raise SchemaError(f"argument is not 'type name': {' '.join(pair)}")
    names = [pair[1] for pair in pairs]
    return tuple(_read_arg(spec, name, names, types) for spec, name in pairs)


def _read_arg(spec: str, name: str, names: list[str], types: Types) -> Arg:
    direction, colon, memory = spec.partition(":")
    if not colon:
        if spec not in types.sizes or spec in types.structs:
            raise SchemaError(f"unknown type {spec}")
        kind = spec if spec in ("path", "str") else HANDLES.get(spec, "raw")
        return Arg(name, kind, spec)
    match = _MEMORY.fullmatch(memory)
    if direction not in DIRECTIONS or not match:
        raise SchemaError(f"cannot read type {spec}")
    base = match["base"]
    if base == "strv":
        return Arg(name, direction, base, form="strings")
    unit = 1 if base in ("bytes", "bits") else types.sizes[base]
    if match["count"]:
        return Arg(name, direction, base, unit * int(match["count"]), form="array")
    if match["bytes"]:
        return Arg(name, direction, base, 1, names.index(match["bytes"]), "sized")
    if match["length"]:
        form = "deref" if match["star"] else "bits" if base == "bits" else "array"
        return Arg(name, direction, base, unit, names.index(match["length"]), form)
    if base in ("bytes", "bits"):
        raise SchemaError(f"{base} without a length")
    return Arg(name, direction, base, unit, form="one")


def _read_cloexec(text: str, args: tuple[Arg, ...]) -> tuple[int, int]:
    if not text:
        return NO_CLOEXEC, 0
    if text == "always":
        return ALWAYS_CLOEXEC, 0
    name, _, flag = text.partition(":")
    return [arg.name for arg in args].index(name), int(flag, 0)


def problems(calls: list[Call], types: Types) -> Iterator[str]:
    """Say what is wrong in tables that could be read: one line per fault, none if sound."""
    numbers = [call.nr for call in calls]
    if numbers != sorted(set(numbers)):
        yield "numbers are not ascending and unique"
    if len({call.name for call in calls}) != len(calls):
        yield "a name appears twice"
    for call in calls:
        for fault in _call_problems(call, types):
            yield f"{call.nr} {call.name}: {fault}"
    for name, row in types.structs.items():
        for fault in _struct_problems(row, types):
            yield f"struct {name}: {fault}"


def _call_problems(call: Call, types: Types) -> Iterator[str]:
    if call.tier not in TIERS:
        yield f"tier {call.tier} unknown"
    if call.family not in FAMILIES:
        yield f"family {call.family} unknown"
    if call.ret != "none" and call.ret not in types.sizes:
        yield f"ret {call.ret} unknown"
    if (call.tier == "none") != bool(call.error):
        yield "error belongs to tier none, and tier none needs it"
    if call.cloexec_arg != NO_CLOEXEC and call.ret != "fd":
        yield "cloexec without ret fd"
    if len(call.args) > MAX_ARGS or len({arg.name for arg in call.args}) != len(call.args):
        yield "more than six arguments, or two of one name"
    for arg in call.args:
        for fault in _memory_problems(arg, call):
            yield f"{arg.name} {fault}"
    if _is_at(call):
        kinds = ["", *(arg.kind for arg in call.args)]
        for before, kind in pairwise(kinds):
            if kind == "path" and before != "dirfd":
                yield "a path is not preceded by its dirfd"


def _memory_problems(arg: Arg, call: Call) -> Iterator[str]:
    if arg.size > MAX_SIZE:
        yield "is larger than the C table can say"
    if arg.form and call.tier == "legacy" and not arg.stageable:
        yield "cannot be staged for a legacy handler"
    if arg.length != FIXED:
        length = call.args[arg.length]
        if length.kind not in (DIRECTIONS if arg.form == "deref" else ("raw",)):
            yield f"takes its length from {length.name}, which is none"


def _is_at(call: Call) -> bool:
    named = re.search(r"at2?$", call.name) is not None and call.name not in _NOT_AT
    return named or any(arg.kind == "dirfd" for arg in call.args)


def _struct_problems(row: Mapping[str, Any], types: Types) -> Iterator[str]:
    end = 0
    for name, spec, offset in row.get("fields", []):
        base, _, count = spec.rstrip("]").partition("[")
        if base not in types.sizes:
            yield f"field {name}: type {base} unknown"
            continue
        if offset < end:
            yield f"field {name} overlaps the one before"
        end = offset + types.sizes[base] * int(count or 1)
    if end > row["size"]:
        yield "fields pass its size"


def header_problems(calls: list[Call], header: Path) -> Iterator[str]:
    """Compare with a unistd_64.h; calls newer than the table's last number are not faults."""
    mine = {call.nr: call.name for call in calls}
    pattern = re.compile(r"^#define __NR_(\w+)\s+(\d+)$", re.MULTILINE)
    for name, digits in pattern.findall(header.read_text()):
        number = int(digits)
        if number <= max(mine) and mine.get(number) != name:
            yield f"{number} is {name} in {header}, {mine.get(number, 'missing')} here"
