"""What `exo-um trace` does. The program starts first: the decoder is imported meanwhile."""

from __future__ import annotations

import os
import sys

from exo_um.cli.run import DEFAULT_PATH, find_program, initial_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from exo_um.trace.sink import Sink
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Writer

    Given = dict[str, Any]


class TraceError(Exception):
    """What keeps us from tracing, in a line; usage: the command line is wrong."""

    def __init__(self, text: str, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


def main(argv: list[str]) -> int:
    """Run `exo-um trace` with the arguments after `trace`."""
    from exo_um.cli.traceopts import parse

    parsed = parse(argv)
    if parsed is None or parsed[1]["instance"] is not None:  # needs click anyway
        from exo_um.cli.commands import main as commands

        return commands(["trace", *argv])
    try:
        return trace(*parsed)
    except TraceError as error:
        hint = "; try exo-um trace --help" if error.usage else ""
        print(f"exo-um{' trace' if error.usage else ''}: {error}{hint}", file=sys.stderr)
        return 2 if error.usage else 1
    except OSError as error:
        from exo_um.cli.output import line

        print(f"exo-um: {line(error)}", file=sys.stderr)
        return 1


def trace(argv: tuple[str, ...], given: Given) -> int:
    """Do what the command line says; return an exit status. Errors: TraceError, OSError."""
    if not argv and not given["pids"] and given["instance"] is None:
        raise TraceError("must have PROGRAM [ARG]... or -p PID", usage=True)
    inside = given["instance"] is not None or (given["platform"] == "inproc" and bool(argv))
    if given["stack"] and given["format"] != "strace":
        raise TraceError("-k has a place in strace's format only", usage=True)
    out = opened(given["path"], given["follow"])
    try:
        status = guest(argv, given, out) if inside else host(argv, given, out)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return repeat_end(status)


def opened(path: str | None, follow: int) -> BinaryIO:
    """Return where lines are to go. Errors: TraceError."""
    if path is None:
        return os.fdopen(os.dup(2), "wb")
    if path[:1] in ("|", "!"):
        import subprocess

        stream = subprocess.Popen(path[1:], shell=True, stdin=subprocess.PIPE).stdin  # noqa: S602
        assert stream is not None
        return stream  # type: ignore[return-value]
    try:
        return open(os.devnull if follow > 1 else path, "wb")  # noqa: PTH123 - pathlib is slow to import
    except OSError as error:
        raise TraceError(f"Can't fopen '{path}': {error.strerror}") from error


def wishes_of(given: Given) -> Wishes:
    """Return what is to be done with events. Errors: TraceError."""
    from exo_um.trace.wish import Wishes, take

    wishes = Wishes()
    wishes.counts = given["count"] or given["both"]
    wishes.summary_only = given["count"]
    wishes.only_ok, wishes.only_failed = given["only_ok"], given["only_failed"]
    wishes.paths, wishes.quiet = bool(given["paths"]), given["quiet"]
    wishes.stack = given["stack"] and not given["count"]
    if given["expressions"]:
        from exo_um.trace.select import ExpressionError

        try:
            for expression in given["expressions"]:
                take(wishes, expression)
        except ExpressionError as error:
            raise TraceError(str(error), usage=True) from error
    return wishes


def sink_of(wishes: Wishes, given: Given, out: BinaryIO) -> Sink:
    """Return what takes events."""
    from exo_um.trace.sink import Sink
    from exo_um.trace.writer import Style
    from posix_x.decode.view import Options

    style = Style(
        given["follow"], given["path"], given["clock"], given["relative"], given["spent"],
        given["column"], given["quiet"],
    )  # fmt: skip
    writer = writer_of(given["format"])(style, out)
    return Sink(wishes, writer, Options(given["limit"], given["verbose"]), given["sort"])


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


def host(argv: tuple[str, ...], given: Given, out: BinaryIO) -> int:
    """Trace on the host; return the program's wait status. Errors: TraceError."""
    import signal

    from exo_um.trace.host import HostTracer

    sink = sink_of(wishes_of(given), given, out)
    tracer = HostTracer(sink, given["follow"] > 0)
    try:
        for pid in given["pids"]:
            tracer.attach(pid)
    except OSError as error:
        raise TraceError(error.strerror or str(error)) from error
    if argv:
        env = environment(given["env"])
        path = found(argv[0], env)
        tracer.start(path, [os.fsencode(word) for word in argv], env)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # noqa: TID251 - the program's to heed
    try:
        status = tracer.run()
    except KeyboardInterrupt:
        tracer.detach()
        status = 0
    sink.finish()
    return status


def guest(argv: tuple[str, ...], given: Given, out: BinaryIO) -> int:
    """Trace guests by what their runtimes tell; return a wait status. Errors: TraceError."""
    from exo_um.trace.wish import wish_of

    wishes = wishes_of(given)
    wish = wish_of(wishes, given["follow"] > 0, given["limit"])
    if given["instance"] is not None:
        from exo_um.trace.attach import attach

        if len(given["pids"]) > 1:
            raise TraceError("one -p with --instance", usage=True)
        sink = sink_of(wishes, given, out)
        return attach(given["instance"], given["pids"][0] if given["pids"] else 0, wish, sink)
    from exo_um.trace.launch import Program, Started

    env = environment(given["env"])
    program = Program(found(argv[0], env), [os.fsencode(word) for word in argv], env)
    started = Started(program, wish, patch=not given["no_patch"])
    if not wishes.summary_only:
        return started.follow(sink_of(wishes, given, out))
    from exo_um.trace.summary import Summary

    summary = Summary(given["sort"])
    status = started.count(summary, wishes.calls)
    out.write(summary.text().encode())
    out.flush()
    return status


def repeat_end(status: int) -> int:
    """Return an exit status; after a program that a signal killed, end by the same one."""
    if os.WIFSIGNALED(status):
        import resource
        import signal

        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)  # noqa: TID251 - no handler
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        sys.stdout.flush()
        os.kill(os.getpid(), number)
        return 128 + number
    return os.WEXITSTATUS(status)
