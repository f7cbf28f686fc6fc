"""`exo-um kill`: signals to the processes of an instance, from outside."""

from __future__ import annotations

import signal

import click

from exo_um.bindings.process import signal_task
from exo_um.cli.complete import Running
from exo_um.cli.instances import find
from exo_um.kernel.tasks import KERNEL_PID, Tasks

SIGNAL_LIMIT = 64
EXAMPLES = """\b
Examples:
  exo-um kill build              ask the programs that were started in build to end
  exo-um kill -s KILL build 17   kill process 17 of build
  exo-um kill -s STOP --all build
  exo-um kill -l
"""


def number_of(text: str) -> int:
    """Return the number of a signal given as TERM, SIGTERM or 15. Errors: BadParameter."""
    if text.isdigit() and 0 <= int(text) <= SIGNAL_LIMIT:
        return int(text)
    name = text.upper().removeprefix("SIG")
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        raise click.BadParameter(f"{text}: no such signal; exo-um kill -l lists them") from None


def signal_lines() -> list[str]:
    """Return number and name of each signal."""
    return [f"{number.value:2} {number.name.removeprefix('SIG')}" for number in signal.Signals]


def show_signals(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the signals and leave, before INSTANCE is asked for."""
    if wanted and not context.resilient_parsing:
        print("\n".join(signal_lines()))
        context.exit()


@click.command(name="kill", short_help="send a signal to processes of an instance", epilog=EXAMPLES)
@click.argument("instance", type=Running())
@click.argument("pids", metavar="[PID]...", nargs=-1, type=click.IntRange(min=1))
@click.option("-s", "--signal", "name", default="TERM", help="Name or number; TERM by default.")
@click.option("-a", "--all", "everything", is_flag=True, help="Without PID: every process.")
@click.option(
    *("-l", "--list"),
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_signals,
    help="List the signals.",
)
def command(instance: str, pids: tuple[int, ...], name: str, everything: bool) -> int:
    """Send a signal to processes of INSTANCE, by the PIDs that exo-um ps shows.

    Without a PID it goes to the children of pid 1: what `run` and `exec` have started, and what has
    lost its parent. With --all to every process but pid 1. Pid 1 is exo-um itself: it passes HUP,
    INT, QUIT, TERM, USR1 and USR2 on to its first program, and with its death (KILL) the instance
    ends.

    The exit status is 1 if a process was not found or may not be signalled.
    """
    if pids and everything:
        raise click.UsageError("PIDs and --all exclude each other")
    number = number_of(name)
    tasks = find(instance).tasks
    status = 0
    for pid in pids or targets(tasks, everything=everything):
        slot = tasks.find(pid)
        try:
            if slot is None or tasks[slot].leader_slot != slot:
                raise ProcessLookupError
            signal_task(tasks.region, slot, pid, number)
        except ProcessLookupError:
            if pids:  # else it has ended since we looked
                click.echo(f"exo-um kill: no such process in {instance}: {pid}", err=True)
                status = 1
        except OSError as error:
            click.echo(f"exo-um kill: {pid}: {error.strerror}", err=True)
            status = 1
    return status


def targets(tasks: Tasks, *, everything: bool) -> list[int]:
    """Return the pids that a signal without PIDs goes to."""
    return [
        tasks[slot].tid
        for slot in tasks.leaders()
        if everything or tasks.parent_pid(slot) == KERNEL_PID
    ]
