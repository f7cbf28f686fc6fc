"""`exo-um top`: what instances spend their time on, again and again."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from exo_um.bindings import lib
from exo_um.bindings.process import SignalWatch
from exo_um.cli.complete import Running
from exo_um.cli.instances import Instance, chosen
from exo_um.cli.rows import printable, show, shown_memory, shown_time, table_of
from exo_um.cli.tasklist import Task, tasks_of
from posix_x.table import rows

if TYPE_CHECKING:
    from rich.console import RenderableType

TIERS = ("fast", "hybrid", "pass", "legacy", "none")
COLUMNS = ("INSTANCE", "PID", "UID", "STATE", "THREADS", "%CPU", "TIME", "RSS", "COMMAND")
DEFAULT_DELAY_S = 1.0
# Read, not caught, so that the terminal is given back before we end.
ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
EXAMPLES = """\b
Examples:
  exo-um top                  all instances; q quits
  exo-um top build            one of them
  exo-um top -b -n 3 -d 0.5   three tables on standard output, half a second apart
  exo-um top --once
"""


@click.command(name="top", short_help="show what instances spend their time on", epilog=EXAMPLES)
@click.argument("instance", required=False, type=Running())
@click.option("-b", "--batch", is_flag=True, help="Print table after table, for scripts.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many tables.")
@click.option(
    "-d",
    "--delay",
    type=click.FloatRange(min=0.05),
    default=DEFAULT_DELAY_S,
    help="Seconds from one table to the next.",
)
@click.option("--once", is_flag=True, help="Print one table: -b -n 1.")
def command(instance: str | None, batch: bool, count: int | None, delay: float, once: bool) -> int:
    """Show the processes of INSTANCE, or of all of your instances, by processor time.

    %CPU is of one processor, since the table before; in the first table since the process began.
    Calls per second, by the tier that served them, are shown of instances that count them
    (exo-um run --stats FILE).
    """
    watch = Watch(instance)
    if once or batch:
        batched(watch, 1 if once else count, delay)
    elif not (os.isatty(0) and Console().is_terminal) or Console().is_dumb_terminal:
        raise click.UsageError("not at a terminal that can do it; -b or --once works anywhere")
    else:
        return live(watch, count, delay)
    return 0


class Sample:
    """One look at everything: what ran, for how long, and what each instance has counted."""

    def __init__(self, name: str | None) -> None:
        """Look at an instance, or at all. Errors: ClickException, no such instance."""
        self.at_ns = time.monotonic_ns()
        self.tasks: list[Task] = []
        self.calls: dict[str, dict[str, int] | None] = {}
        for instance in chosen(name):
            try:
                self.tasks += tasks_of(instance)
                self.calls[instance.name] = tier_counts(instance)
            except OSError:  # it has just ended, or is stopped
                self.calls[instance.name] = None
            finally:
                instance.close()


def tier_counts(instance: Instance) -> dict[str, int] | None:
    """Return the calls so far by the tier that served them; None if the instance does not count."""
    kr = instance.tasks.region.kr
    if not kr.flags & lib.EXO_KR_STATS:
        return None
    counts = dict.fromkeys(TIERS, 0)
    for nr in range(lib.EXO_CALL_COUNT):
        if calls := kr.counts.calls[nr]:
            legacy = kr.counts.legacy_calls[nr]
            counts["legacy"] += legacy
            counts[rows.ROWS[nr][1] if nr in rows.ROWS else "none"] += calls - legacy
    return counts


class Watch:
    """The samples of one or all instances, and the difference between the last two."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._last: Sample | None = None

    def look(self) -> tuple[list[str], list[list[str]]]:
        """Take a sample; return the lines above the table and its rows, busiest first."""
        sample, before = Sample(self._name), self._last
        self._last = sample
        heads = [self._head(sample, before, name) for name in sorted(sample.calls)]
        shares = cpu_shares(sample, before)
        order = sorted(sample.tasks, key=lambda task: (-shares[key_of(task)], key_of(task)))
        return heads, [fields(task, shares[key_of(task)]) for task in order]

    def _head(self, sample: Sample, before: Sample | None, name: str) -> str:
        tasks = [task for task in sample.tasks if task.instance == name]
        running = sum(task.state == "R" for task in tasks)
        memory = shown_memory(sum(task.rss for task in tasks))
        head = f"{name}: {len(tasks)} processes, {running} running, {memory} resident"
        counts = sample.calls[name]
        old = before.calls.get(name) if before else None
        if counts is None or old is None or before is None:
            return head
        seconds = (sample.at_ns - before.at_ns) / 1e9
        rates = [f"{tier} {(counts[tier] - old[tier]) / seconds:.0f}" for tier in TIERS]
        return f"{head}; calls/s: {', '.join(rates)}"


def key_of(task: Task) -> tuple[str, int, int]:
    """Return what tells a process from all others, also from a later one of its number."""
    return task.instance, task.pid, task.host_tid


def cpu_shares(sample: Sample, before: Sample | None) -> dict[tuple[str, int, int], float]:
    """Return each process's part of one processor since the sample before, in percent."""
    old = {key_of(task): task.cpu_s for task in before.tasks} if before else {}
    seconds = (sample.at_ns - before.at_ns) / 1e9 if before else 0.0
    shares = {}
    for task in sample.tasks:
        key = key_of(task)
        if before is not None and key in old:
            shares[key] = 100 * max(task.cpu_s - old[key], 0.0) / seconds
        else:
            shares[key] = 100 * task.cpu_s / max(task.age_s, 0.01)
    return shares


def fields(task: Task, share: float) -> list[str]:
    """Return a task's fields in the order of COLUMNS."""
    return [
        task.instance,
        str(task.pid),
        str(task.uid),
        task.state,
        str(task.threads),
        f"{share:.1f}",
        shown_time(task.cpu_s),
        shown_memory(task.rss),
        task.command,
    ]


def batched(watch: Watch, count: int | None, delay_s: float) -> None:
    """Print tables, count of them or until we are interrupted."""
    done = 0
    while count is None or done < count:
        if done:
            select.select([], [], [], delay_s)
            print()
        heads, body = watch.look()
        for head in heads:
            print(printable(head))
        show(COLUMNS, body)
        sys.stdout.flush()
        done += 1


def live(watch: Watch, count: int | None, delay_s: float) -> int:
    """Show tables on the whole screen until q is typed, or count of them; return the status."""
    saved = termios.tcgetattr(0)
    console = Console(highlight=False)
    signals = SignalWatch(ENDINGS)
    try:
        tty.setcbreak(0)
        with Live(console=console, screen=True, auto_refresh=False) as screen:
            done = 0
            while True:
                screen.update(picture(watch, console.height), refresh=True)
                done += 1
                status = 0 if done == count else pause(signals, delay_s)
                if status is not None:
                    return status
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def pause(signals: SignalWatch, delay_s: float) -> int | None:
    """Wait for the next table; return an exit status if it is not to come."""
    end_ns = time.monotonic_ns() + int(delay_s * 1e9)
    while (left_ns := end_ns - time.monotonic_ns()) > 0:
        ready, _, _ = select.select([0, signals.fd], [], [], left_ns / 1e9)
        if signals.fd in ready and (got := signals.next()):
            return 128 + got[0]
        if 0 in ready and os.read(0, 1) in (b"q", b"Q", b""):
            return 0
    return None


def picture(watch: Watch, height: int) -> RenderableType:
    """Return what fits on a screen of height lines."""
    heads, body = watch.look()
    room = max(height - len(heads) - 2, 0)
    lines = [Text(printable(head), no_wrap=True, overflow="ellipsis") for head in heads]
    return Group(*lines, table_of(COLUMNS, body[:room]))
