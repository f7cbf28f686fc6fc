"""Reaps: the first guest, whose end is the instance's, orphans, and slots of tasks that are gone.

The kernel process is a child subreaper, so every process of the instance becomes its child at the
latest when its own parent dies. Called by the signal side of the serve loop, and once at the end.
Whatever there may be much of is done in portions, between which calls are served, or by workers.
"""

from __future__ import annotations

import os
import time

from exo_um.bindings.process import kill_task, stop_self
from exo_um.kernel.hostproc import children, stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings.jobs import FindDead, Job
    from exo_um.kernel.serve import Server
    from exo_um.kernel.tasks import Tasks
    from exo_um.kernel.watch import Watch

SIGKILL = 9
SIGCONT = 18
SWEEP_PAUSE_NS = 250_000_000
# Processes that are reaped, or freed, before calls are served again: each costs a look at all
# tasks.
AT_ONCE = 16
# Tasks among which the serve loop looks for the dead itself, in less time than it takes to have a
# worker do it.
FEW_TASKS = 500


class Reaper:
    """Waits for the host processes of an instance."""

    def __init__(self, tasks: Tasks, first_pid: int, watch: Watch | None = None) -> None:
        self._tasks = tasks
        self._first_pid = first_pid
        self._watch = watch
        self._swept_ns = time.monotonic_ns()
        self._sweep_due = self._collect_due = False
        self._sweeping = self._once_more = False
        self._find: FindDead | None = None
        self._gone: list[tuple[int, int, int]] = []  # slots, tids, host tids still to be freed
        self.status: int | None = None
        self.tracer = 0  # host pid of the ptrace platform's, a child that is no guest
        self.server: Server | None = None  # whose workers do what may take long
        self._watched: dict[int, Callable[[int], None]] = {}

    def watch(self, host_pid: int, ended: Callable[[int], None]) -> None:
        """Have ended called with the wait status when a child of ours is reaped."""
        self._watched[host_pid] = ended

    def reap(self) -> None:
        """Reap who has died, stop with the first guest if it has stopped; sweep if there is reason.

        With much to do, it does some and has the serve loop come back.
        """
        for _ in range(AT_ONCE):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                if pid == self._first_pid:
                    self._stop_with_first(os.WSTOPSIG(status))
            else:
                self._reaped(pid, status)
        else:
            self._come_back()
        if self._watch and not self._watch.pid:
            self._watch.restart()
        if self._gone:
            self._free_gone()
        self._look_for_left_behind()

    def _come_back(self) -> None:
        if self.server:
            self.server.come_back()

    def _look_for_left_behind(self) -> None:
        """Sweep and collect if there is reason to, and again if more was left meanwhile."""
        if self._sweeping:
            self._once_more = True
            return
        self._collect_due |= self._tasks.region.take_left_behind()
        stale = time.monotonic_ns() - self._swept_ns > SWEEP_PAUSE_NS
        if self._collect_due or self._sweep_due or stale:
            self.sweep()

    def _reaped(self, host_pid: int, status: int) -> None:
        if self._watch and host_pid == self._watch.pid:
            self._watch.pid = 0
            return
        slot = self._tasks.find_host(host_pid)
        if slot:
            self._tasks.free(slot)
        else:
            self._sweep_due = True
        if host_pid == self._first_pid:
            self.status = status
        if ended := self._watched.pop(host_pid, None):
            ended(status)

    def _stop_with_first(self, number: int) -> None:
        """Do as the first guest did, so that our shell sees its job stop; then continue it too.

        A shell's SIGCONT may have gone to us alone.
        """
        stop_self(number)
        if stat_fields(self._first_pid)[:1] in ([b"T"], [b"t"]):  # t: stopped while traced
            os.kill(self._first_pid, SIGCONT)

    def _do(self, job: Job, ended: Callable[[int], None]) -> None:
        """Have a worker do it if there is much to look at."""
        if self.server and self._tasks.region.kr.task_high > FEW_TASKS:
            self.server.do(job, ended)
        else:
            ended(job.do())

    def sweep(self) -> None:
        """Free the slots of processes that are gone and that no parent will wait for.

        Such were killed while their parent ignored SIGCHLD, died with their parent, or were never
        born: then the parent was killed first. Only who owns slot 0 may free tasks, so a worker
        merely finds them.
        """
        self._swept_ns = time.monotonic_ns()
        self._sweep_due, self._once_more, self._sweeping = False, False, True
        if self._find is None:
            from exo_um.bindings.jobs import FindDead  # not on the way to the first guest

            self._find = FindDead(self._tasks.region)
        self._do(self._find, self._found)

    def _found(self, count: int) -> None:
        assert self._find
        self._gone = self._find.found(count)
        self._once_more |= count == self._find.limit
        self._free_gone()

    def _free_gone(self) -> None:
        """Free some of those that were found, then collect what they had."""
        some, self._gone = self._gone[:AT_ONCE], self._gone[AT_ONCE:]
        newborn: bool | None = None
        for slot, tid, host_tid in some:
            if host_tid == 0:
                newborn = self._has_newborn() if newborn is None else newborn
                if newborn:
                    self._sweep_due = True
                    continue
            self._tasks.reclaim(slot, tid, host_tid)
        if self._gone:
            self._come_back()
        else:
            self._collect()

    def _collect(self) -> None:
        """Collect if a task was killed at work, then sweep again; else the sweep is over."""
        region = self._tasks.region
        due = self._collect_due or region.take_left_behind()
        self._collect_due = self._sweeping = False
        if due:
            from exo_um.bindings.jobs import Collect

            self._sweeping = True
            self._do(Collect(region), lambda _: self.sweep())
        elif self._once_more:
            self.sweep()

    def _has_newborn(self) -> bool:
        """Whether some orphan has not told yet which slot is its; it will, or die and be reaped."""
        watch = self._watch.pid if self._watch else 0
        return any(
            not self._tasks.find_host(pid) for pid in children() if pid not in (watch, self.tracer)
        )

    def kill_all(self) -> None:
        """Kill every process that is left and reap it; return when all but exo-watch are gone."""
        spared = self._watch.pid if self._watch else 0
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid:
                self._reaped(pid, status)
                continue
            killed = [kill_task(self._tasks.region, slot) for slot in self._tasks.leaders()]
            # In the middle of a birth or an exec a process is in no slot, but it is our child
            # as soon as its ancestors are dead.
            if not kill_children(spared) and not any(killed):
                return
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)


def kill_children(spared: int) -> bool:
    """Kill our own children but one; return whether there was any that we may kill."""
    killed = False
    for host_pid in children():
        if host_pid == spared:
            continue
        try:
            os.kill(host_pid, SIGKILL)
        except OSError:  # another user's: a guest that gained privileges
            continue
        killed = True
    return killed
