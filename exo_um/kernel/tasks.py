"""The task table of the kernel region, with exo's numbers translated to the host's and back.

Slots name tasks here; slot 0 is pid 1, the kernel process itself, so finders answer None for
"nobody". Reading races with births and deaths, as looking into /proc does on any Linux.
"""

from __future__ import annotations

from exo_um.bindings import ffi, lib
from exo_um.kernel.hostproc import parent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from exo_um.bindings.region import Region

KERNEL_PID = 1
KERNEL_SLOT = 0


class Tasks:
    """Every task of an instance, by slot."""

    __slots__ = ("_kr", "region")

    def __init__(self, region: Region) -> None:
        self.region = region
        self._kr: Any = region.kr

    def __getitem__(self, slot: int) -> Any:
        """Return the struct exo_task of a slot."""
        return self._kr.tasks[slot]

    def slots(self) -> Iterator[int]:
        """Give the slots in use, without the kernel process's."""
        high: int = self._kr.task_high
        ids = self._kr.ids
        last: int = lib.EXO_TASK_COUNT - 1
        return (slot for slot in range(1, high) if ids[last - slot].tid)

    def occupied(self) -> list[int]:
        """Return the slots that are not free, those in the middle of being taken included."""
        high: int = self._kr.task_high
        tasks = self._kr.tasks
        return [slot for slot in range(1, high) if tasks[slot].state != lib.EXO_TASK_FREE]

    def leaders(self) -> Iterator[int]:
        """Give the slots of processes, without the kernel process's."""
        return (slot for slot in self.slots() if self._kr.tasks[slot].leader_slot == slot)

    def threads(self, leader: int) -> list[int]:
        """Return the slots of a process's threads."""
        if leader == KERNEL_SLOT:
            return [KERNEL_SLOT]
        return [slot for slot in self.slots() if self._kr.tasks[slot].leader_slot == leader]

    def children(self, leader: int) -> list[int]:
        """Return the slots of a process's children."""
        tgid = self._kr.tasks[leader].tgid
        return [slot for slot in self.leaders() if self.ppid(slot) == tgid]

    def ppid(self, slot: int) -> int:
        """Return the pid of a process's parent; whose an orphan is, the host knows."""
        task = self._kr.tasks[slot]
        if task.parent_slot != KERNEL_SLOT and self._kr.tasks[task.parent_slot].tid == task.ppid:
            return int(task.ppid)
        return self.pid_of_host(parent_of(self.host_pid(slot)))

    def parent_pid(self, leader: int) -> int:
        """Return a process's parent: pid 1 once the one noted at its birth is gone."""
        task = self._kr.tasks[leader]
        ppid: int = task.ppid
        if leader == KERNEL_SLOT:
            return 0
        return ppid if self.find(ppid) == task.parent_slot else KERNEL_PID

    def find(self, tid: int) -> int | None:
        """Return the slot of the task that guests know by this tid."""
        if tid == KERNEL_PID:
            return KERNEL_SLOT
        slot: int = lib.exo_task_find(self._kr, tid) if tid > 0 else 0
        return slot or None

    def find_host(self, host_tid: int) -> int | None:
        """Return the slot of a host task of this instance."""
        if host_tid == self._kr.kernel_host_pid:
            return KERNEL_SLOT
        slot: int = lib.exo_task_find_host(self._kr, host_tid) if host_tid > 0 else 0
        return slot or None

    def host_tid(self, slot: int) -> int:
        """Return the host's number of a task."""
        return int(self._kr.tasks[slot].host_tid if slot else self._kr.kernel_host_pid)

    def host_pid(self, slot: int) -> int:
        """Return the host's number of a task's process."""
        return int(self._kr.tasks[slot].host_tgid if slot else self._kr.kernel_host_pid)

    def pid_of_host(self, host_tid: int) -> int:
        """Return exo's number of a host task, 0 for strangers: what a pid namespace would show."""
        slot = self.find_host(host_tid)
        return 0 if slot is None else int(self._kr.tasks[slot].tid)

    def pgid_of_host(self, host_pgid: int) -> int:
        """Return exo's number of a host process group, 0 for strangers."""
        return int(lib.exo_task_pgid_of_host(self._kr, host_pgid)) if host_pgid > 0 else 0

    def alive(self, slot: int) -> bool:
        """Whether the task's host thread runs and is not in the middle of an exec."""
        return bool(lib.exo_alive_test(ffi.addressof(self._kr.tasks, slot)))

    def is_trace_stopped(self, slot: int) -> bool:
        """Whether the task is stopped for its tracer; on the host it merely sleeps."""
        stopped = bool(self._kr.traces[slot].state == lib.EXO_TRACE_STOPPED)
        return self._kr.tasks[slot].tracer != 0 and stopped

    def exe(self, leader: int) -> bytes:
        """Return a path to a process's program on the host, empty for the kernel process."""
        if leader == KERNEL_SLOT:
            return b""
        return b"/proc/%d/fd/%d" % (self.host_pid(leader), lib.EXO_FD_EXE)

    def filter_count(self, slot: int) -> int:
        """Return how many seccomp filters a task has."""
        return int(self._kr.filters[self._kr.tasks[slot].filter].depth)

    def fd_count(self, slot: int) -> int:
        """Return how many fds a task's process may have open, about."""
        table: int = self._kr.tasks[slot].fd_table
        return self.region.table_used(table) if table else 0

    def host_fd(self, slot: int, fd: int) -> int:
        """Return the host fd behind a task's fd number, or -1."""
        table: int = self._kr.tasks[slot].fd_table
        return self.region.table_host(table, fd) if table else -1

    def reclaim(self, slot: int, tid: int, host_tid: int) -> bool:
        """Free a slot if it is still tid's, dead, and no parent is going to wait for it.

        host_tid: what the host has nobody of; 0 if the task had no number, and no newborn is there.
        """
        return bool(lib.exo_task_reclaim(self._kr, slot, tid, host_tid))

    def free(self, slot: int) -> None:
        """Give a dead task's slot back; a leader's takes its threads' and its fd table along."""
        if self._kr.tasks[slot].leader_slot == slot:
            lib.exo_task_free_process(self._kr, slot)
        else:
            lib.exo_task_free(self._kr, slot)
