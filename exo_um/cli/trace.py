"""`exo-um trace` for click: help, messages of mistakes, completion. The work: tracing.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exo_um.cli.complete import Program
from exo_um.cli.tracegiven import TraceError
from exo_um.cli.traceopts import OPTIONS
from exo_um.cli.tracing import trace

if TYPE_CHECKING:
    from exo_um.cli.traceopts import Option

EXAMPLES = """\b
Examples:
  exo-um trace ls /
  exo-um trace -f -o calls.txt make          into a file, children too
  exo-um trace -c python3 -c 'import json'   only how often and how long
  exo-um trace -e trace=%file,!stat -y cat /etc/passwd
  exo-um trace -k -e trace=write ls          with the functions that called
  exo-um trace -e inject=openat:error=ENOENT:when=3 ls
  exo-um trace -tt -T -p 1234 --platform ptrace    any process of the host's
"""


def parameter(option: Option) -> click.Option:
    """Return a row of the table as click has it."""
    names = [option.name]
    names += [f"-{option.short}"] if option.short else []
    names += [f"--{option.long}"] if option.long else []
    how: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    how["hidden"] = not option.help
    if option.kind == "flag":
        how["is_flag"] = True
    elif option.kind == "count":
        how["count"] = True
    elif option.choices:
        how["type"] = click.Choice(option.choices)
    elif option.kind in ("number", "numbers"):
        how["type"] = click.IntRange(0)
    if option.kind in ("texts", "numbers"):
        how["multiple"] = True
    elif option.default is not None:
        how["default"] = option.default
    return click.Option(names, **how)


def run(argv: tuple[str, ...], **given: Any) -> int:
    """Run PROGRAM and write each of its system calls: name, arguments, result.

    Exit status: the program's; if a signal killed it, trace ends by the same one. 1 if tracing
    failed, PROGRAM was not found, or the command line is wrong.
    """
    try:
        return trace(argv, given)
    except TraceError as error:
        if error.usage:
            raise Mistake(str(error)) from error
        raise click.ClickException(str(error)) from error


class Mistake(click.UsageError):
    """A wrong command line, with the exit status that strace has for it."""

    exit_code = 1


class Trace(click.Command):
    """A command whose mistakes are told so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line. Errors: Mistake."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise Mistake(error.format_message(), ctx) from error


command = Trace(
    "trace",
    callback=run,
    help=run.__doc__,
    short_help="show a program's system calls as they happen",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
    params=[
        click.Argument(
            ["argv"], metavar="[PROGRAM [ARG]...]", nargs=-1, type=Program(), required=False
        ),
        *(parameter(option) for option in OPTIONS),
    ],
)
