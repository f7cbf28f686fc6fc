"""`exo-um ps`: what runs in instances, or which instances run."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from typing import Any

import click
import psutil

from exo_um.cli.complete import Running
from exo_um.cli.instances import Instance, chosen
from exo_um.cli.rows import show, shown_memory, shown_time
from exo_um.cli.tasklist import Task, tasks_of

EXAMPLES = """\b
Examples:
  exo-um ps                  every process of every instance
  exo-um ps -i               the instances
  exo-um ps -t build         the threads of instance build
  exo-um ps --json | jq '.[] | select(.state == "Z")'
"""


@click.command(
    name="ps",
    short_help="list the processes of running instances",
    epilog=EXAMPLES,
)
@click.argument("instance", required=False, type=Running())
@click.option("-i", "--instances", "overview", is_flag=True, help="List instances, not processes.")
@click.option("-t", "--threads", is_flag=True, help="A line for each thread.")
@click.option("--json", "as_json", is_flag=True, help="JSON; times in seconds, memory in bytes.")
def command(instance: str | None, overview: bool, threads: bool, as_json: bool) -> int:
    """List the processes of INSTANCE, or of all of your instances.

    Numbers are those that programs in the instance see; pid 1 is exo-um itself. STATE is that of
    the host's ps: R runs, S sleeps, D waits for a device, T is stopped, Z is dead and not yet
    waited for.
    """
    found = chosen(instance)
    status = 0
    rows: list[dict[str, Any]] = []
    for one in found:
        try:
            rows += overview_rows(one) if overview else task_rows(one, threads=threads)
        except OSError as error:
            click.echo(f"exo-um ps: {error}", err=True)
            status = 1
    if as_json:
        print(json.dumps(rows, indent=2))
    elif overview:
        show(OVERVIEW, [shown_overview(row) for row in rows])
    else:
        columns = [column for column in COLUMNS if threads or column != "TID"]
        show(columns, [shown_task(row, threads=threads) for row in rows])
    return status


COLUMNS = (
    *("INSTANCE", "PID", "TID", "PPID", "PGID", "SID", "UID", "STATE"),
    *("THREADS", "TIME", "RSS", "COMMAND"),
)
OVERVIEW = ("INSTANCE", "HOST PID", "STARTED", "TASKS", "COMMAND")


def task_rows(instance: Instance, *, threads: bool) -> list[dict[str, Any]]:
    """Return the processes or threads of an instance."""
    return [vars(task) for task in tasks_of(instance, threads=threads)]


def overview_rows(instance: Instance) -> list[dict[str, Any]]:
    """Return what there is to tell of an instance; nothing if it has just ended."""
    count = sum(1 for _ in instance.tasks.leaders())
    try:
        started = psutil.Process(instance.host_pid).create_time()
    except psutil.NoSuchProcess:
        return []
    return [
        {
            "instance": instance.name,
            "host_pid": instance.host_pid,
            "started": started,
            "tasks": count,
            "command": shlex.join(instance.argv),
        }
    ]


def shown_task(row: dict[str, Any], *, threads: bool) -> list[str]:
    """Return a task's fields in the order of COLUMNS."""
    task = Task(**row)
    numbers = [task.pid, *([task.tid] if threads else []), task.ppid, task.pgid, task.sid, task.uid]
    return [
        task.instance,
        *map(str, numbers),
        task.state,
        str(task.threads),
        shown_time(task.cpu_s),
        shown_memory(task.rss),
        task.command,
    ]


def shown_overview(row: dict[str, Any]) -> list[str]:
    """Return an instance's fields in the order of OVERVIEW."""
    started = dt.datetime.fromtimestamp(row["started"]).astimezone()
    return [
        row["instance"],
        str(row["host_pid"]),
        started.strftime("%Y-%m-%d %H:%M:%S"),
        str(row["tasks"]),
        row["command"],
    ]
