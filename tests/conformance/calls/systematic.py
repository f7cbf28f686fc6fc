"""Every call of the table with each of its arguments bad in turn, and with two bad ones.

The table says what an argument is, so which values are bad for it. A base of good arguments, from
plan.toml or by type, stands around the bad one. The result is cases in the language of language.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from language import CALLS, FDS, TYPES

from posix_x.table.schema import Arg, Call

PLAN: dict[str, Any] = tomllib.loads(Path(__file__).with_name("plan.toml").read_text())
EXCLUDED: dict[str, str] = PLAN["excluded"]
BASES: dict[str, str] = PLAN["base"]
ONCE: list[str] = PLAN["once"]
WITHOUT: dict[str, list[str]] = PLAN["without"]

POINTERS = ["NULL", "BAD", "KERNEL", "NONCANON"]
LONG_NAME = '"a" * 256'
PATHS = [
    '""', '"/"', '"."', '"dir"', '"dir/"', '"dir/inner"', '"file/"', '"file/x"', '"link"',
    '"link/"', '"dirlink"', '"dirlink/"', '"dangling"', '"loop"', '"loop/x"', '"nowhere"',
    '"nowhere/x"', '"new/"', '"secret"', '"locked/in"', '"fifo"', '"sock"', '"exe"', '"/dev/null"',
    '"/proc/self/status"', '"/proc/nowhere"', '"/proc/cpuinfo"', f"{LONG_NAME}",
    '"dir/" + "a" * 255', '"./" * 2050 + "file"',
    'edge("file\\0")', 'edge("file")', 'edge("/")', 'edge("")',
]  # fmt: skip
# Files of the host: only for calls that change nothing of them.
HOST_PATHS = {'"/"', '"/dev/null"', '"/proc/cpuinfo"'}
LOOKERS = re.compile(
    r"open(at2?)?|.*stat(x|at|fs)?|.*access.*|.*readlink.*|l?(get|list)xattr(at)?|chdir|chroot|execve(at)?"
    r"|name_to_handle_at|inotify_add_watch|file_getattr|open_tree"
)
# Fds whose inodes are the host's, or shared by all such files.
HOST_FDS = {"null", "zero", "ptm", "event", "epoll", "timer", "signal", "inotify", "pidfd", "pts"}
CHANGERS = {"fchmod", "fchown", "fsetxattr", "fremovexattr"}
DIRFDS = [
    "-1",
    "CLOSED",
    "0xffffff9c",
    "-99",
    "reg",
    "opath",
    "opathdir",
    "dir",
    "pipe_r",
    "HIGH | dir",
]
SIZES = [
    "0",
    "1",
    "2",
    "7",
    "4096",
    "-1",
    "0x7fffffff",
    "0x80000000",
    "1 << 32",
    "1 << 40",
    "1 << 63",
]
INTS = ["0", "1", "2", "3", "-1", "INT_MAX", "INT_MIN", "HIGH"]
FLAGS = ["1 << 30", "1 << 31", "1 << 32", "1 << 63", "-1"]
PIDS = ["0", "-1", "self", "child", "no_child", "UNKNOWN", "-UNKNOWN", "INT_MAX", "INT_MIN", "HIGH"]
SIGNALS = ["0", "1", "9", "19", "32", "64", "65", "-1", "HIGH | 10"]
ADDRESSES = [*POINTERS, "RO", "0x1000", "SCRATCH", "SCRATCH + 1", "-4096", "-1"]
MODES = ["0", "0o777", "0o4755", "0o7777", "0o100644", "-1"]
IDS = ["0", "65534", "-1", "-2", "INT_MAX"]
WORST = {"fd": "-1", "dirfd": "CLOSED", "pid": "UNKNOWN", "path": "BAD", "str": "BAD"}


def base(arg: Arg, call: Call) -> str:
    """Return a value that the call may well accept."""
    if arg.kind in ("in", "out", "inout"):
        size = max(arg.size, 1) * (1 if arg.form in ("one", "") else 64)
        size = min(size, 4096)
        return f"out({size}, '?')" if arg.kind == "out" else f"rec(*[i1(0)] * {size}, show='?')"
    by_type = {"path": '"file"', "str": '"text"', "fd": "reg", "dirfd": "CWD", "size": "16"}
    if arg.type in TYPES.sets and TYPES.sets[arg.type]["kind"] == "enum":
        return str(next(iter(TYPES.sets[arg.type]["values"].values())))
    return by_type.get(arg.type, {"mode": "0o644", "uid": "-1", "gid": "-1"}.get(arg.type, "0"))


def memory_values(arg: Arg) -> Iterator[str]:
    """Give bad pointers, and good ones at the very end of what is mapped."""
    yield from POINTERS
    size = min(max(arg.size, 1), 4096)
    if arg.kind == "in":
        yield from (f"edge(bytes({size}))", f"edge(bytes({max(size - 1, 0)}))")
    else:
        yield from ("RO", f"edge_out({size})", f"edge_out({size - 1})")


def set_values(arg: Arg) -> Iterator[str]:
    row = TYPES.sets[arg.type]
    values = sorted(set(row["values"].values()))
    yield from (hex(value) for value in values)
    if row["kind"] == "enum":
        yield from (str(max(values) + 1), "-1", f"HIGH | {values[0]}", "INT_MAX", "INT_MIN")
    else:
        yield from FLAGS


def values(arg: Arg, call: Call) -> list[str]:
    """Return what to try for an argument."""
    if arg.kind == "fd":
        fds = [name for name in FDS if call.name not in CHANGERS or name not in HOST_FDS]
        return [*fds, "-1", "CLOSED", "INT_MAX", "INT_MIN", "1000000", "HIGH | reg"]
    if arg.kind == "dirfd":
        return DIRFDS
    if arg.kind == "pid":
        return PIDS
    if arg.kind == "path":
        looks = LOOKERS.fullmatch(call.name)
        return [*POINTERS, *(path for path in PATHS if looks or path not in HOST_PATHS)]
    if arg.kind == "str":
        return [*POINTERS, '""', LONG_NAME, '"a" * 4096', 'edge("x")', 'edge("x\\0")']
    if arg.kind in ("in", "out", "inout"):
        return list(memory_values(arg))
    if arg.type in TYPES.sets:
        return list(set_values(arg))
    by_type = {"addr": ADDRESSES, "sig": SIGNALS, "mode": MODES, "uid": IDS, "gid": IDS}
    kinds = {"size": SIZES, "off": SIZES, "ssize": SIZES, "ulong": SIZES, "u64": SIZES}
    return by_type.get(arg.type) or kinds.get(arg.type, INTS)


def worst(arg: Arg) -> str:
    """Return the value that shows in which order a call looks at its arguments."""
    if arg.kind in WORST:
        return WORST[arg.kind]
    if arg.kind in ("in", "out", "inout") or arg.type == "addr":
        return "BAD"
    return {"size": "-1", "sig": "65"}.get(arg.type, "-1" if arg.type in TYPES.sets else "INT_MIN")


def base_of(call: Call) -> list[str]:
    """Return the good arguments of a call, as plan.toml has them or by their types."""
    if call.name in BASES:
        return split_arguments(BASES[call.name])
    return [base(arg, call) for arg in call.args]


def split_arguments(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and strings."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        quoted ^= char == '"'
        depth += (char in "([") - (char in ")]") if not quoted else 0
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def cases_of(call: Call) -> Iterator[str]:
    """Give the cases of one call."""
    good = base_of(call)
    without = WITHOUT.get(call.name, [])
    yield good_case(call, good)
    for i, arg in enumerate(call.args):
        for value in values(arg, call):
            if f"{arg.name}={value}" not in without and arg.name not in without:
                yield good_case(call, [*good[:i], value, *good[i + 1 :]])
    for i, j in combinations(range(len(call.args)), 2):
        pair = {i: worst(call.args[i]), j: worst(call.args[j])}
        if not {call.args[k].name for k in pair} & set(without):
            yield good_case(call, [pair.get(k, value) for k, value in enumerate(good)])


def good_case(call: Call, args: list[str]) -> str:
    return f"{call.name}({', '.join(args)})"


def cases() -> Iterator[str]:
    """Give all cases, each once."""
    for call in CALLS.values():
        if call.name in EXCLUDED:
            continue
        if call.tier == "none" or call.name in ONCE:  # refused, whatever the arguments
            yield good_case(call, base_of(call))
        else:
            yield from dict.fromkeys(cases_of(call))
