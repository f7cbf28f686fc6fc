"""What `exo-um trace` does. The program starts first: the decoder is imported meanwhile."""

from __future__ import annotations

import os
import sys

from exo_um.cli.tracegiven import TraceError, check, program_of, sink_of, summary_of, wishes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from exo_um.cli.tracegiven import Given


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
        return 1
    except OSError as error:
        from exo_um.cli.output import line

        print(f"exo-um: {line(error)}", file=sys.stderr)
        return 1


def trace(argv: tuple[str, ...], given: Given) -> int:
    """Do what the command line says; return an exit status. Errors: TraceError, OSError."""
    if not argv and not given["pids"] and given["instance"] is None:
        raise TraceError("must have PROGRAM [ARG]... or -p PID", usage=True)
    check(given)
    inside = given["instance"] is not None or (given["platform"] == "inproc" and bool(argv))
    out, reader = opened(given)
    try:
        status = guest(argv, given, out) if inside else host(argv, given, out)
        if reader is not None:
            out.close()
            reader.wait()
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return repeat_end(status)


def opened(given: Given) -> tuple[BinaryIO, Any]:
    """Return where lines are to go, and who reads them there, or None. Errors: TraceError."""
    path = given["path"]
    if path is None:
        return os.fdopen(os.dup(2), "wb"), None
    if path[:1] in ("|", "!"):
        import subprocess

        reader = subprocess.Popen(path[1:], shell=True, stdin=subprocess.PIPE)  # noqa: S602
        assert reader.stdin is not None
        return reader.stdin, reader  # type: ignore[return-value]
    where = os.devnull if given["follow"] > 1 else path
    try:
        return open(where, "ab" if given["append"] else "wb"), None  # noqa: PTH123 - pathlib is slow to import
    except OSError as error:
        raise TraceError(f"Can't fopen '{path}': {error.strerror}") from error


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
        tracer.start(program_of(argv, given))
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
    if wishes.counts and (wishes.statuses is not None or wishes.only_paths):
        raise TraceError("-c with -z, -Z or -P needs --platform ptrace", usage=True)
    whole = given["verbose"] or wishes.abbreviated is not None
    wish = wish_of(wishes, given["follow"] > 0, given["limit"], whole)
    if given["instance"] is not None:
        from exo_um.trace.attach import attach

        if len(given["pids"]) > 1:
            raise TraceError("one -p with --instance", usage=True)
        sink = sink_of(wishes, given, out)
        return attach(given["instance"], given["pids"][0] if given["pids"] else 0, wish, sink)
    from exo_um.trace.launch import Started

    started = Started(program_of(argv, given), wish, patch=not given["no_patch"])
    if not wishes.summary_only:
        return started.follow(sink_of(wishes, given, out))
    summary = summary_of(given)
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
