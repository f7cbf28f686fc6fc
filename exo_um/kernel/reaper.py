"""Reaps: the first guest, whose end is the instance's, orphans, and slots of tasks that are gone.

The kernel process is a child subreaper, so every process of the instance becomes its child at the
latest when its own parent dies. Called by the signal side of the serve loop, and once at the end.
"""

from __future__ import annotations

import os
import time

from exo_um.bindings import lib
from exo_um.bindings.process import kill_task, stop_self
from exo_um.kernel.hostproc import children, stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.kernel.tasks import Tasks
    from exo_um.kernel.watch import Watch

SIGKILL = 9
SIGCONT = 18
SWEEP_PAUSE_NS = 250_000_000


class Reaper:
    """Waits for the host processes of an instance."""

    def __init__(self, tasks: Tasks, first_pid: int, watch: Watch | None = None) -> None:
        self._tasks = tasks
        self._first_pid = first_pid
        self._watch = watch
        self._swept_ns = time.monotonic_ns()
        self._sweep_due = False
        self.status: int | None = None
        self.tracer = 0  # host pid of the ptrace platform's, a child that is no guest
        self._watched: dict[int, Callable[[int], None]] = {}

    def watch(self, host_pid: int, ended: Callable[[int], None]) -> None:
        """Have ended called with the wait status when a child of ours is reaped."""
        self._watched[host_pid] = ended

    def reap(self) -> None:
        """Reap whoever has died; stop with the first guest if it has stopped."""
        while True:
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
        if self._watch and not self._watch.pid:
            self._watch.restart()
        self._look_for_left_behind()

    def _look_for_left_behind(self) -> None:
        """Sweep and collect if there is reason to, and again if more was left meanwhile."""
        region = self._tasks.region
        left_behind = region.take_left_behind()
        stale = time.monotonic_ns() - self._swept_ns > SWEEP_PAUSE_NS
        if not (left_behind or self._sweep_due or stale):
            return
        self.sweep()
        while left_behind or region.take_left_behind():
            left_behind = False
            region.collect()
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

    def sweep(self) -> None:
        """Free the slots of processes that are gone and that no parent will wait for.

        Such were killed while their parent ignored SIGCHLD, died with their parent, or were never
        born: then the parent was killed first.
        """
        self._swept_ns = time.monotonic_ns()
        self._sweep_due = False
        for slot in self._tasks.occupied():
            task = self._tasks[slot]
            tid = task.tid
            if self._tasks.alive(slot) or stat_fields(task.host_tid):
                continue
            if task.state == lib.EXO_TASK_EMBRYO and self._has_newborn():
                self._sweep_due = True
                continue
            self._tasks.reclaim(slot, tid)

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
