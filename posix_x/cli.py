"""The `posix-x` command: hands on to posix_x/NAME/command.py, imported when it is wanted."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from exo_um.cli.clicked import answer
from exo_um.cli.output import answered

COMMANDS = ("analyze", "benchmark", "migrate", "profile")

EXAMPLES = """\b
Examples:
  posix-x analyze /usr/bin/redis-server     which calls it can make, and who serves them
  posix-x profile ./app                     where its calls' time goes, and how to save some
  posix-x benchmark                         exo-um against Linux, operation by operation
  posix-x migrate app.c -o app_native.c     to the native API, where only the speed changes

\b
Completion: eval "$(_POSIX_X_COMPLETE=bash_source posix-x)", or zsh_source, or fish_source.
"""


class Commands(click.Group):
    """A group that imports a command's package when the command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command; None if there is none of that name."""
        if cmd_name in COMMANDS:
            found: click.Command = import_module(f"posix_x.{cmd_name}.command").command
            return found
        return None


@click.group(
    cls=Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tell how a program uses Linux's interface, and what it gains and needs on exo-um.",
)
def group() -> None:
    """Hold the commands together."""


def main(argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's); return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    return answered("posix-x", lambda: answer(group, "posix-x", words))
