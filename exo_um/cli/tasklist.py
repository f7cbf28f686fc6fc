"""The tasks of instances as rows: exo's numbers from the kernel region, the rest from the host.

Shared by `exo-um ps` and `exo-um top`. Reading races with births and deaths; a task that is gone by
the time the host is asked is left out.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from exo_um.kernel.proctext import LOADER_MARK
from exo_um.kernel.tasks import KERNEL_SLOT

if TYPE_CHECKING:
    from exo_um.cli.instances import Instance
    from exo_um.kernel.tasks import Tasks

STATES = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "X",
    psutil.STATUS_IDLE: "I",
    psutil.STATUS_PARKED: "P",
}


@dataclass
class Task:
    """A process, or with tid != pid one of its threads; times in seconds, memory in bytes."""

    instance: str
    pid: int
    tid: int
    ppid: int
    pgid: int
    sid: int
    uid: int
    state: str
    threads: int
    cpu_s: float
    age_s: float
    rss: int
    command: str
    host_tid: int


def tasks_of(instance: Instance, *, threads: bool = False) -> list[Task]:
    """Return an instance's processes, pid 1 first, or all of their threads, by number.

    Errors: OSError, the instance does not answer.
    """
    table = instance.tasks
    rows: list[Task] = []
    for leader in [KERNEL_SLOT, *table.leaders()]:
        try:
            process = process_row(instance.name, table, leader)
        except psutil.NoSuchProcess:
            continue
        rows += thread_rows(table, leader, process) if threads and leader else [process]
    return sorted(rows, key=lambda row: (row.pid, row.tid))


def process_row(instance: str, table: Tasks, leader: int) -> Task:
    """Return the row of a process. Errors: NoSuchProcess."""
    task = table[leader]
    pid = task.tid
    process = psutil.Process(table.host_pid(leader))
    with process.oneshot():
        # A row that mixes two processes is worse than none: the number may have gone over.
        times, status = process.cpu_times(), process.status()
        row = Task(
            instance=instance,
            pid=pid,
            tid=pid,
            ppid=table.parent_pid(leader),
            pgid=task.pgid,
            sid=task.sid,
            uid=process.uids().real,
            state=STATES.get(status, "?"),
            threads=process.num_threads() if status != psutil.STATUS_ZOMBIE else 1,
            cpu_s=times.user + times.system,
            age_s=dt.datetime.now(dt.UTC).timestamp() - process.create_time(),
            rss=process.memory_info().rss,
            command=kernel_command(process) if pid == 1 else command_of(process, status),
            host_tid=process.pid,
        )
    if pid != 1 and table.find(pid) != leader:
        raise psutil.NoSuchProcess(process.pid)
    return row


def thread_rows(table: Tasks, leader: int, process: Task) -> list[Task]:
    """Return a row per thread of a process."""
    rows = []
    try:
        times = {thread.id: thread for thread in psutil.Process(process.host_tid).threads()}
    except psutil.Error:  # a zombie has none to ask
        times = {}
    for slot in table.threads(leader):
        task = table[slot]
        thread = times.get(task.host_tid)
        if thread is None and slot != leader:
            continue
        fields = {**vars(process), "tid": task.tid, "host_tid": task.host_tid}
        if thread is not None:
            fields["cpu_s"] = thread.user_time + thread.system_time
        rows.append(Task(**fields))
    return rows


def kernel_command(process: psutil.Process) -> str:
    """Return the command line that a user typed to start an instance."""
    words = process.cmdline()
    if "-c" in words:  # the launcher's: python OPTIONS -c TEXT PATH
        words = ["exo-um", *words[words.index("-c") + 3 :]]
    return one_line(words)


def command_of(process: psutil.Process, status: str) -> str:
    """Return a process's command line as a guest's ps shows it."""
    if status == psutil.STATUS_ZOMBIE:
        return f"[{process.name()}] <defunct>"
    words = process.cmdline()
    if words and words[0].startswith(LOADER_MARK.decode()):
        words = words[2:]  # in the middle of an exec
    if not words:
        return f"[{process.name()}]"
    return one_line(words)


def one_line(words: list[str]) -> str:
    """Return words as one line."""
    return " ".join(words).replace("\n", " ")
