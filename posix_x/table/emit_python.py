"""Writes rows.py, the tables as plain tuples, for the kernel's dispatch and for decoders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posix_x.table.schema import Arg, Call, Types

_HEAD = '''\
"""The call table as plain tuples, made by generate.py from syscalls.toml and types.toml.

NAMES[nr] is a call's name or None. ROWS[nr] is (name, tier, family, args, ret); an argument is
(name, kind, type, size, length, form) as class Arg of schema.py describes it. SIZES holds bytes
by type name, STRUCTS fields, (name, type, offset), by struct name, SETS (kind, mask, {value:
name}) by set name.
"""

'''
_ARG = "tuple[str, str, str, int, int, str]"
_ROW = f"tuple[str, str, str, tuple[{_ARG}, ...], str]"


def python_source(calls: Sequence[Call], types: Types) -> str:
    """Return the whole module; it holds constants only, so that importing it is cheap."""
    names = {call.nr: call.name for call in calls}
    body = [
        f"NAMES: tuple[str | None, ...] = {tuple(map(names.get, range(max(names) + 1)))!r}",
        *_table(f"ROWS: dict[int, {_ROW}]", {call.nr: _row(call) for call in calls}),
        f"SIZES: dict[str, int] = {dict(types.sizes)!r}",
        *_table("STRUCTS: dict[str, tuple[tuple[str, str, int], ...]]", _structs(types)),
        *_table("SETS: dict[str, tuple[str, int, dict[int, str]]]", _sets(types)),
    ]
    return _HEAD + "\n".join(body) + "\n"


def _table(declaration: str, rows: Mapping[Any, object]) -> Iterator[str]:
    yield f"{declaration} = {{"
    for key, row in rows.items():
        yield f"    {key!r}: {row!r},"
    yield "}"


def _row(call: Call) -> tuple[object, ...]:
    return call.name, call.tier, call.family, tuple(map(_arg, call.args)), call.ret


def _arg(arg: Arg) -> tuple[object, ...]:
    return arg.name, arg.kind, arg.type, arg.size, arg.length, arg.form


def _structs(types: Types) -> dict[str, object]:
    return {
        name: tuple(tuple(field) for field in row.get("fields", ()))
        for name, row in types.structs.items()
    }


def _sets(types: Types) -> dict[str, object]:
    tables: dict[str, object] = {}
    for name, row in types.sets.items():
        values: dict[int, str] = {}
        for label, value in row["values"].items():
            values.setdefault(value, label)
        tables[name] = (row["kind"], row.get("mask", 0), values)
    return tables
