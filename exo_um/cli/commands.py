"""The commands of `exo-um` whose start-up time does not matter, and its help."""

from importlib import import_module

import click

from exo_um import __version__
from exo_um.cli.clicked import answer
from exo_um.cli.complete import Run, RunWord
from exo_um.cli.output import answered

BUILT = ("exec", "kill", "ps", "top", "trace")

EXAMPLES = """\b
Examples:
  exo-um run /bin/busybox sh                   a shell in an instance of its own
  exo-um run python3 -c 'print("hello")'       any Linux program, unmodified
  echo 'uname -a' | exo-um run /bin/busybox sh
  exo-um run --name build bash                 an instance with a name, and what runs in it:
  exo-um ps build
  exo-um exec build ps -ef
  exo-um trace -f ls /                         what a program asks of the kernel

\b
Completion: eval "$(_EXO_UM_COMPLETE=bash_source exo-um)", or zsh_source, or fish_source.
"""


class Commands(click.Group):
    """A group that imports a command's file when the command is wanted: exo_um/cli/NAME.py."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *BUILT])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of that name."""
        if cmd_name in BUILT:
            found: click.Command = import_module(f"exo_um.cli.{cmd_name}").command
            return found
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run unmodified Linux programs on a kernel that lives in user space.",
)
@click.version_option(__version__, "-V", "--version", message="exo-um %(version)s")
def group() -> None:
    """Hold the commands together."""


@group.command(
    cls=Run,
    short_help="run a program in a new instance",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("argv", nargs=-1, type=RunWord())
def run(argv: tuple[str, ...]) -> int:
    """Run a program; exo_um.cli takes this way only for `exo-um --option run`."""
    from exo_um.cli.run import main as run_main

    return run_main(list(argv))


def main(argv: list[str]) -> int:
    """Run argv through click; return the exit status."""
    return answered("exo-um", lambda: answer(group, "exo-um", argv))
