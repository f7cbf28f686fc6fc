"""The `posix-x` command: hands on to posix_x/NAME/command.py, imported when it is wanted."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

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
EPIPE_STATUS = 141  # as of who was killed by SIGPIPE


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
    try:
        status = _answer(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would tell at its end
        return EPIPE_STATUS
    return status


def _answer(argv: list[str]) -> int:
    try:
        result = group.main(argv, prog_name="posix-x", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "posix-x"
        print(f"{command}: {error.format_message()}; try {command} --help", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        print(f"posix-x: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"posix-x: {error}", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0
