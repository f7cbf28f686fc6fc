"""`exo-um trace`: shows a program's system calls, in strace's format and with its options."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, BinaryIO

import click

from exo_um.cli.run import DEFAULT_PATH, find_program, initial_environment
from exo_um.trace.select import ExpressionError, calls_of, signals_of, tampering_of
from exo_um.trace.sink import Sink, Wishes, repeat_end
from exo_um.trace.summary import SORTS, Summary
from exo_um.trace.writer import Style, Writer
from posix_x.decode.view import Options

EXAMPLES = """\b
Examples:
  exo-um trace ls /
  exo-um trace -f -o calls.txt make          into a file, children too
  exo-um trace -c python3 -c 'import json'   only how often and how long
  exo-um trace -e trace=%file,!stat -y cat /etc/passwd
  exo-um trace -e inject=openat:error=ENOENT:when=3 ls
  exo-um trace -tt -T -p 1234 --platform ptrace    any process of the host's
"""
NOW_CONTINUE = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@click.command(
    name="trace",
    short_help="show a program's system calls as they happen",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@click.argument("argv", metavar="[PROGRAM [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("-f", "--follow-forks", "follow", count=True,
              help="Follow children and threads; -ff with -o: a file for each.")  # fmt: skip
@click.option("-e", "expressions", multiple=True, metavar="EXPR",
              help="trace=SET, signal=SET, status=SET, inject=SET:..., fault=SET:..., quiet; SET: "
              "names, %file %process %network %desc %signal %memory %ipc, !SET.")  # fmt: skip
@click.option("-c", "--summary-only", "count", is_flag=True, help="Count calls, time and errors.")
@click.option("-C", "--summary", "both", is_flag=True, help="As -c, and write the calls, too.")
@click.option("-S", "--summary-sort-by", "sort", type=click.Choice(SORTS), default="time",
              metavar="KEY", help="Sort by time, calls, errors, name or avg-time.")  # fmt: skip
@click.option("-t", "--absolute-timestamps", "clock", count=True,
              help="The time of day; -tt with microseconds, -ttt since the epoch.")  # fmt: skip
@click.option("-r", "--relative-timestamps", "relative", is_flag=True, help="Time between calls.")
@click.option("-T", "--syscall-times", "spent", is_flag=True, help="Time spent in each call.")
@click.option("-y", "--decode-fds", "paths", count=True, help="What descriptors lead to.")
@click.option("-s", "--string-limit", "limit", type=click.IntRange(0), default=32, metavar="SIZE",
              help="Write so much of a string (32).")  # fmt: skip
@click.option("-v", "--no-abbrev", "verbose", is_flag=True, help="Write structs and lists whole.")
@click.option("-a", "--columns", "column", type=int, default=40, metavar="COLUMN",
              help="Where results stand (40).")  # fmt: skip
@click.option("-o", "--output", "path", metavar="FILE", help="Write there; |COMMAND: to its input.")
@click.option("-q", "--quiet", "quiet", count=True, help="Not who is attached; -qq: nor exits.")
@click.option("-z", "--successful-only", "only_ok", is_flag=True, help="Only calls that succeed.")
@click.option("-Z", "--failed-only", "only_failed", is_flag=True, help="Only calls that fail.")
@click.option("-E", "--env", "env", metavar="NAME[=VALUE]", multiple=True,
              help="Set or unset a variable of the program's.")  # fmt: skip
@click.option("--format", type=click.Choice(["strace", "json", "perfetto"]), default="strace",
              help="strace's lines, JSON for each event, or for ui.perfetto.dev.")  # fmt: skip
@click.option("-p", "--attach", "pids", multiple=True, type=int, metavar="PID",
              help="Attach to a running process.")  # fmt: skip
@click.option("--instance", metavar="ID",
              help="Attach to a running instance: to all, or with -p to a process.")  # fmt: skip
@click.option("--platform", type=click.Choice(["inproc", "ptrace"]), default="inproc",
              help="Who watches: PROGRAM's own runtime in a new instance (default), or ptrace(2) "
              "on the host, as for -p without --instance.")  # fmt: skip
@click.option("--no-patch", is_flag=True, help="As exo-um run's.")
def command(argv: tuple[str, ...], **given: Any) -> int:
    """Run PROGRAM and write each of its system calls: name, arguments, result.

    Exit status: the program's; if a signal killed it, trace ends by the same one. 1 if tracing
    failed, 127 if PROGRAM was not found.
    """
    if not argv and not given["pids"] and given["instance"] is None:
        raise click.UsageError("must have PROGRAM [ARG]... or -p PID")
    out = opened(given["path"], given["follow"])
    try:
        sink = sink_of(given, out)
        if given["instance"] is not None or (given["platform"] == "inproc" and argv):
            status = guest(argv, given, sink)
        else:
            status = host(argv, given, sink)
        sink.finish()
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return repeat_end(status)


def opened(path: str | None, follow: int) -> BinaryIO:
    """Return where lines are to go. Errors: ClickException."""
    if path is None:
        return os.fdopen(os.dup(2), "wb")
    if path[:1] in ("|", "!"):
        import subprocess

        stream = subprocess.Popen(path[1:], shell=True, stdin=subprocess.PIPE).stdin  # noqa: S602
        assert stream is not None
        return stream  # type: ignore[return-value]
    try:
        return Path(os.devnull if follow > 1 else path).open("wb")
    except OSError as error:
        raise click.ClickException(f"Can't fopen '{path}': {error.strerror}") from error


def sink_of(given: dict[str, Any], out: BinaryIO) -> Sink:
    """Return what is to be done with events. Errors: UsageError."""
    summary = Summary(given["sort"]) if given["count"] or given["both"] else None
    wishes = Wishes(
        summary=summary,
        summary_only=given["count"],
        only_ok=given["only_ok"],
        only_failed=given["only_failed"],
        paths=bool(given["paths"]),
        quiet=given["quiet"],
    )
    for expression in given["expressions"]:
        try:
            take(wishes, expression)
        except ExpressionError as error:
            raise click.UsageError(str(error)) from error
    style = Style(
        given["follow"], given["path"], given["clock"], given["relative"], given["spent"],
        given["column"], given["quiet"],
    )  # fmt: skip
    writer = writer_of(given["format"])(style, out)
    return Sink(wishes, writer, Options(given["limit"], given["verbose"]))


def writer_of(name: str) -> type[Writer]:
    """Return who writes a format."""
    if name == "strace":
        return Writer
    from exo_um.trace.formats import JsonWriter, PerfettoWriter

    return JsonWriter if name == "json" else PerfettoWriter


def take(wishes: Wishes, expression: str) -> None:
    """Take one -e. Errors: ExpressionError."""
    key, equals, value = expression.partition("=")
    if not equals:
        key, value = "trace", expression
    if key in ("trace", "t"):
        wishes.calls = calls_of(value)
    elif key in ("signal", "signals", "s"):
        wishes.signals = signals_of(value)
    elif key in ("inject", "fault"):
        wishes.tamperings.append(tampering_of(value, key == "fault"))
    elif key == "status":
        wishes.only_ok, wishes.only_failed = value == "successful", value == "failed"
        if value not in ("successful", "failed", "all"):
            raise ExpressionError(f"status={value}: not successful, failed or all")
    elif key in ("quiet", "q"):
        wishes.quiet = 2 if "exit" in value or value == "all" else 1
    else:
        raise ExpressionError(f"invalid -e argument '{expression}'")


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
    """Return the path to execute. Errors: ClickException."""
    path = find_program(name, env.get(b"PATH", DEFAULT_PATH))
    if path is None or not os.access(path, os.F_OK):
        raise click.ClickException(f"Can't stat '{name}': No such file or directory")
    return path


def host(argv: tuple[str, ...], given: dict[str, Any], sink: Sink) -> int:
    """Trace on the host; return the program's wait status. Errors: ClickException."""
    from exo_um.trace.host import HostTracer

    tracer = HostTracer(sink, given["follow"] > 0)
    try:
        for pid in given["pids"]:
            tracer.attach(pid)
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from error
    if argv:
        env = environment(given["env"])
        path = found(argv[0], env)
        tracer.start(path, [os.fsencode(word) for word in argv], env)
        for number in NOW_CONTINUE:  # the program's to heed
            signal.signal(number, signal.SIG_IGN)  # noqa: TID251 - no handler
    try:
        return tracer.run()
    except KeyboardInterrupt:
        tracer.detach()
        return 0


def guest(argv: tuple[str, ...], given: dict[str, Any], sink: Sink) -> int:
    """Trace guests by what their runtimes tell; return a wait status. Errors: ClickException."""
    from exo_um.trace.guest import attach, launch
    from exo_um.trace.wish import wish_of

    wish = wish_of(sink.wishes, given["follow"] > 0, given["limit"])
    if given["instance"] is not None:
        if len(given["pids"]) > 1:
            raise click.UsageError("one -p with --instance")
        return attach(given["instance"], given["pids"][0] if given["pids"] else 0, wish, sink)
    env = environment(given["env"])
    path = found(argv[0], env)
    words = [os.fsencode(word) for word in argv]
    return launch(path, words, env, wish, sink, patch=not given["no_patch"])
