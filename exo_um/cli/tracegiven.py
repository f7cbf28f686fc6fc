"""The options of `exo-um trace` as what is to be traced, run and written: for tracing.py."""

from __future__ import annotations

import os
import sys

from exo_um.cli.run import DEFAULT_PATH, find_program, initial_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from exo_um.trace.launch import Program, User
    from exo_um.trace.sink import Sink
    from exo_um.trace.summary import Summary
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Writer

    Given = dict[str, Any]


class TraceError(Exception):
    """What keeps us from tracing, in a line; usage: the command line is wrong."""

    def __init__(self, text: str, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


def check(given: Given) -> None:
    """Look whether options go together, and are there. Errors: TraceError."""
    from exo_um.cli.traceopts import MISSING

    for option in MISSING:
        if given[option.name]:
            word = f"-{option.short}" if option.short else f"--{option.long}"
            raise TraceError(f"strace's {word} is not supported", usage=True)
    if given["stack"] and given["format"] != "strace":
        raise TraceError("-k has a place in strace's format only", usage=True)
    if given["count"] and given["both"]:
        raise TraceError("-c and -C are mutually exclusive", usage=True)
    if given["follow"] > 1 and (given["path"] or "")[:1] in ("|", "!"):
        raise TraceError("piping the output and -ff are mutually exclusive", usage=True)
    if given["user"] is not None and os.geteuid() != 0:
        raise TraceError("You must be root to use the -u option")


def wishes_of(given: Given) -> Wishes:
    """Return what is to be done with events. Errors: TraceError."""
    from exo_um.trace.wish import Wishes, take

    wishes = Wishes()
    wishes.counts = given["count"] or given["both"]
    wishes.summary_only = given["count"]
    if given["only_ok"] or given["only_failed"]:
        wishes.statuses = frozenset(("failed",) if given["only_failed"] else ("successful",))
    wishes.paths, wishes.with_pointer = given["paths"], given["pointer"]
    wishes.quiet = frozenset(quiet_of(given["quiet"]))
    wishes.only_paths = paths_of(given["only_paths"], wishes)
    wishes.stack = given["stack"] and not given["count"]
    if given["expressions"]:
        from exo_um.trace.select import ExpressionError

        try:
            for expression in given["expressions"]:
                take(wishes, expression)
        except ExpressionError as error:
            raise TraceError(str(error), usage=True) from error
    return wishes


def quiet_of(count: int) -> tuple[str, ...]:
    """Return what -q, given so often, means not to say."""
    from exo_um.trace.wish import QUIET, QUIET_TWICE

    return ((), ("attach", "personality"), QUIET_TWICE, QUIET)[min(count, 3)]


def paths_of(paths: tuple[str, ...], wishes: Wishes) -> dict[str, str]:
    """Return what -P asks for, and say where that leads."""
    if not paths:
        return {}
    from exo_um.trace.paths import resolved

    found = resolved(paths)
    for path, asked in found.items():
        if path != asked and "path-resolution" not in wishes.quiet:
            print(f"exo-um trace: Requested path '{asked}' resolved into '{path}'", file=sys.stderr)
    return found


def sink_of(wishes: Wishes, given: Given, out: BinaryIO) -> Sink:
    """Return what takes events."""
    from exo_um.trace.sink import Sink
    from exo_um.trace.writer import Style
    from posix_x.decode.text import hexadecimal_strings
    from posix_x.decode.view import Options

    style = Style(
        given["follow"], given["path"], given["clock"], given["relative"], given["spent"],
        given["column"], "exit" in wishes.quiet, given["pointer"], given["number"],
        given["append"],
    )  # fmt: skip
    writer = writer_of(given["format"])(style, out)
    hexadecimal_strings(given["hexadecimal"])
    options = Options(given["limit"], given["verbose"], wishes.paths > 0, wishes.raw)
    return Sink(wishes, writer, options, summary_of(given))


def summary_of(given: Given) -> Summary:
    """Return the table of -c as it is asked for. Errors: TraceError."""
    from exo_um.trace.summary import COLUMNS, Summary

    shown = (given["columns_shown"] or ",".join(COLUMNS)).split(",")
    names = {"time": "time-percent", "time_percent": "time-percent", "total_time": "total-time",
             "avg_time": "avg-time", "call": "calls", "error": "errors",
             "syscall": "name", "syscall-name": "name"}  # fmt: skip
    columns = [names.get(word, word) for word in shown]
    for word, column in zip(shown, columns, strict=True):
        if column not in COLUMNS:
            raise TraceError(f"unknown column name: '{word}'", usage=True)
    return Summary(given["sort"], columns)


def writer_of(name: str) -> type[Writer]:
    """Return who writes a format."""
    if name == "strace":
        from exo_um.trace.writer import Writer

        return Writer
    from exo_um.trace.formats import JsonWriter, PerfettoWriter

    return JsonWriter if name == "json" else PerfettoWriter


def environment(settings: tuple[str, ...]) -> dict[bytes, bytes]:
    """Return our own environment with variables set or unset."""
    variables = initial_environment()
    for setting in settings:
        name, equals, value = setting.partition("=")
        if equals:
            variables[os.fsencode(name)] = os.fsencode(value)
        else:
            variables.pop(os.fsencode(name), None)
    return variables


def found(name: str, env: dict[bytes, bytes]) -> bytes:
    """Return the path to execute. Errors: TraceError."""
    path = find_program(name, env.get(b"PATH", DEFAULT_PATH))
    if path is None or not os.access(path, os.F_OK):
        raise TraceError(f"Can't stat '{name}': No such file or directory")
    return path


def program_of(argv: tuple[str, ...], given: Given) -> Program:
    """Return what is to be run. Errors: TraceError."""
    from exo_um.trace.launch import Program

    env = environment(given["env"])
    words = [os.fsencode(word) for word in argv]
    return Program(found(argv[0], env), words, env, user=user_of(given["user"]))


def user_of(name: str | None) -> User | None:
    """Return who is to run it. Errors: TraceError."""
    if name is None:
        return None
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise TraceError(f"Cannot find user '{name}'") from None
    return name, entry.pw_uid, entry.pw_gid
