"""The command line of `posix-x profile`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from posix_x.profile.tally import Tally

EXAMPLES = """\b
Examples:
  posix-x profile sort words.txt >/dev/null
  posix-x profile -f --html make.html make -j2
  posix-x profile --json calls.json python3 -m json.tool big.json | head
  posix-x profile -o report.txt ./server --port 8080      ^C ends it, and the report comes
"""
STRING_LIMIT = 31  # bytes of data: enough to see whether what is written is what was read
STACK_LIMIT = 1536


class NotFoundError(click.ClickException):
    """There is no such program: a shell's exit status."""

    exit_code = 127


@click.command(
    name="profile",
    short_help="run a program and tell where its system calls' time goes",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@click.argument("argv", metavar="PROGRAM [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
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
    files = [path for path in (given["html"], given["as_json"], given["output"]) if path]
    try:
        for path in files:  # before the program runs: what cannot be written is known by then
            path.write_bytes(b"")
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {(error.strerror or '').lower()}") from error
    status, found = profiled(argv, env, follow=given["follow"], callers=not given["no_callers"])
    if found is not None:
        write(report_of(argv, status, found), given)
    from exo_um.cli.tracing import repeat_end

    return repeat_end(status)


def profiled(
    argv: tuple[str, ...], env: tuple[str, ...], *, follow: bool, callers: bool
) -> tuple[int, Tally | None]:
    """Run a program; return its wait status and what was counted. Errors: ClickException."""
    import os

    from exo_um.bindings import lib
    from exo_um.cli.tracegiven import environment
    from exo_um.trace.launch import Program, Started
    from exo_um.trace.sink import Sink
    from exo_um.trace.summary import Summary
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Style, Writer
    from posix_x.decode.view import Options
    from posix_x.profile.watcher import Watcher

    variables = environment(env)
    path = program_of(argv[0], variables)
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

        program = Program(path, [os.fsencode(word) for word in argv], variables)
        status = Started(program, wish, patch=True).follow(sink, watch)
    return status, watchers[0].found if watchers and watchers[0].found.calls else None


def program_of(name: str, env: dict[bytes, bytes]) -> bytes:
    """Return the path to execute; end with 127 if there is none."""
    import os

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

    try:
        if given["as_json"]:
            given["as_json"].write_text(json.dumps(result, indent=2) + "\n")
        if given["html"]:
            from posix_x.profile.html import page

            given["html"].write_text(page(result, given["top"]))
        if given["output"]:
            given["output"].write_text(render(result, given["top"]))
        else:
            sys.stderr.write(render(result, given["top"], sys.stderr))
            sys.stderr.flush()
    except BrokenPipeError:
        return
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {(error.strerror or '').lower()}") from error
