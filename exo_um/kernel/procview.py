"""The instance as procfs.resolve() looks at it: few questions, so that tests can answer them."""

from __future__ import annotations

from exo_um.kernel.tasks import KERNEL_SLOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from exo_um.kernel.instance import Instance

    class TaskView(Protocol):
        """The fields of struct exo_task that show in /proc."""

        tid: int
        tgid: int
        pgid: int
        sid: int
        security: int
        tracer: int


class InstanceView:
    """What /proc shows of an instance, read anew at every question."""

    __slots__ = (
        "_instance",
        "_tasks",
        "caller",
        "exe",
        "filter_count",
        "find",
        "host_tid",
        "is_trace_stopped",
        "pgid_of_host",
        "pid_of_host",
    )

    def __init__(self, instance: Instance, caller: int) -> None:
        """Look at instance for the task in slot caller."""
        self._instance = instance
        self.caller = caller
        self._tasks = instance.tasks
        self.find = instance.tasks.find
        self.host_tid = instance.tasks.host_tid
        self.pid_of_host = instance.tasks.pid_of_host
        self.pgid_of_host = instance.tasks.pgid_of_host
        self.exe = instance.tasks.exe
        self.filter_count = instance.tasks.filter_count
        self.is_trace_stopped = instance.tasks.is_trace_stopped

    def task(self, slot: int) -> TaskView:
        """Return the struct exo_task of a slot."""
        task: TaskView = self._tasks[slot]
        return task

    def leader(self, slot: int) -> int:
        """Return the slot of a task's process."""
        return int(self._tasks[slot].leader_slot)

    def children(self, slot: int) -> list[int]:
        """Return the pids of a process's children; those of a thread show at its first one."""
        if self.leader(slot) != slot:
            return []
        return sorted(self._tasks[child].tid for child in self._tasks.children(slot))

    def host_fd(self, slot: int, fd: int) -> int:
        """Return the host fd behind a task's fd number, or -1."""
        return -1 if slot == KERNEL_SLOT else self._tasks.host_fd(slot, fd)

    def last_pid(self) -> int:
        """Return the tid that was given out last."""
        return int(self._instance.region.kr.next_tid) - 1

    def kernel_names(self) -> dict[str, bytes]:
        """Return the files of /proc/sys/kernel that repeat what uname(2) says."""
        names, string = self._instance.region.kr.names, self._instance.region.string
        return {
            "ostype": b"Linux",
            "osrelease": string(names.release),
            "version": string(names.version),
            "hostname": string(names.host),
            "domainname": string(names.domain),
        }
