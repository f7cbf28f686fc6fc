"""The command line of `posix-x profile`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exo_um.cli.complete import Program as ProgramName
from exo_um.cli.output import line

if TYPE_CHECKING:
    from exo_um.trace.launch import Program
    from posix_x.profile.tally import Tally

EXAMPLES = """\b
Examples:
  posix-x profile sort words.txt >/dev/null
  posix-x profile -f --html make.html make -j2
  posix-x profile --json calls.json python3 -m json.tool big.json | head
  posix-x profile -o report.txt ./server --port 8080      ^C ends it, and the report comes
"""
STRING_LIMIT = 31  # bytes of data: enough to see whether what is written is what was read
STACK_LIMIT = 3072  # bytes: a stage's room, less a path


class NotFoundError(click.ClickException):
    """There is no such program: a shell's exit status."""

    exit_code = 127


@click.command(
    name="profile",
    short_help="run a program and tell where its system calls' time goes",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@click.argument("argv", metavar="PROGRAM [ARG]...", nargs=-1, required=True, type=ProgramName())
@click.option("-f", "--follow-forks", "follow", is_flag=True, help="Children, too.")
@click.option("--html", "html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="A report with plots, in one file.")  # fmt: skip
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Everything, as JSON.")  # fmt: skip
@click.option("-o", "--output", "output", type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE", help="The text there, not to standard error.")  # fmt: skip
@click.option("-n", "--top", "top", type=click.IntRange(1), default=10, show_default=True,
              metavar="N", help="So many rows of each table.")  # fmt: skip
@click.option("-E", "--env", "env", metavar="NAME[=VALUE]", multiple=True,
              help="Set or unset a variable of the program's.")  # fmt: skip
@click.option("--no-callers", is_flag=True,
              help="Places as they are, libc's, where that makes the call.")  # fmt: skip
def command(argv: tuple[str, ...], env: tuple[str, ...], **given: Any) -> int:
    """Run PROGRAM in an instance, and tell what its system calls cost and how to save some.

    The report comes when PROGRAM has ended, however it did: calls by the tier that served them and
    by name, with means and 99th percentiles, in TSC cycles, time spent waiting included; the places
    in the program that make them; data read and written again unchanged; small writes in a row;
    paths looked up again and again; and what could be saved, with the numbers that this rests on.

    Exit status: the program's; if a signal killed it, profile ends by the same one. 1 if it cannot
    be profiled or the report not be written, 127 if PROGRAM was not found.
    """
    from exo_um.cli.tracegiven import environment
    from exo_um.cli.tracing import repeat_end
    from exo_um.trace.launch import Program

    variables = environment(env)
    words = [os.fsencode(word) for word in argv]
    program = Program(program_of(argv[0], variables), words, variables, "posix-x profile")
    for path in (given["html"], given["as_json"], given["output"]):
        if path:  # before the program runs: what cannot be written is known by then
            write_file(path, "")
    status, found = profiled(program, follow=given["follow"], callers=not given["no_callers"])
    if found is not None:
        write(report_of(argv, status, found), given)
    elif os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        print(f"posix-x profile: {argv[0]}: {name} before any call", file=sys.stderr)
    return repeat_end(status)


def profiled(program: Program, *, follow: bool, callers: bool) -> tuple[int, Tally | None]:
    """Run a program; return its wait status and what was counted. Errors: ClickException."""
    from exo_um.bindings import lib
    from exo_um.trace.launch import Started
    from exo_um.trace.sink import Sink
    from exo_um.trace.summary import Summary
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Style, Writer
    from posix_x.decode.view import Options
    from posix_x.profile.watcher import Watcher

    flags = lib.EXO_RECORDING_EVENTS | lib.EXO_RECORDING_ORIGINS
    wish = {
        "flags": flags | (lib.EXO_RECORDING_FOLLOWS if follow else 0),
        "string_limit": STRING_LIMIT,
        "stack_limit": STACK_LIMIT if callers else 0,
        "calls": None,
        "tamper": [],
    }
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - as in writer.py
        wishes = Wishes()
        wishes.summary_only = True
        sink = Sink(wishes, Writer(Style(), nothing), Options(), Summary())
        watchers: list[Watcher] = []

        def watch(*given: Any) -> Watcher:
            watchers.append(Watcher(*given))
            return watchers[0]

        status = Started(program, wish, patch=True).follow(sink, watch)
    return status, watchers[0].found if watchers and watchers[0].found.calls else None


def program_of(name: str, env: dict[bytes, bytes]) -> bytes:
    """Return the path to execute; end with 127 if there is none."""
    from exo_um.cli.run import DEFAULT_PATH, find_program

    path = find_program(name, env.get(b"PATH", DEFAULT_PATH))
    if path is None or not os.access(path, os.F_OK):
        raise NotFoundError(f"{name}: no such file or directory")
    return path


def report_of(argv: tuple[str, ...], status: int, found: Tally) -> dict[str, Any]:
    """Return the report as plain data."""
    from posix_x.profile.advise import suggestions
    from posix_x.profile.report import report

    result = report(argv, status, found)
    result["suggestions"] = suggestions(found)
    return result


def write(result: dict[str, Any], given: dict[str, Any]) -> None:
    """Write the report wherever it is wanted. Errors: ClickException."""
    from posix_x.profile.text import render

    if given["as_json"]:
        write_file(given["as_json"], json.dumps(result, indent=2) + "\n")
    if given["html"]:
        from posix_x.profile.html import page

        write_file(given["html"], page(result, given["top"]))
    if given["output"]:
        write_file(given["output"], render(result, given["top"]))
        return
    try:
        sys.stderr.write(render(result, given["top"], sys.stderr))
        sys.stderr.flush()
    except OSError:  # there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def write_file(path: Path, text: str) -> None:
    """Write a file of the report; what is no UTF-8 is escaped. Errors: ClickException."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except BrokenPipeError:
        return
    except OSError as error:
        raise click.ClickException(line(error, str(path))) from error
