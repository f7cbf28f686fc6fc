"""Places guests as exo_um.sched.advice says: `exo-um run --placement advice`.

sched_getaffinity(2) then shows a guest where it was placed. A thread that has an affinity of its
own is left alone.
"""

from __future__ import annotations

import os
import time

from exo_um.kernel.hostproc import read_file
from exo_um.sched.advice import Advisor, Sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from exo_um.kernel.tasks import Tasks

INTERVAL_NS = 100_000_000


class Placement:
    """Looks at an instance's threads now and then, and places them."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._anywhere = os.sched_getaffinity(0)
        self._advisor = Advisor(sorted(self._anywhere))
        self._placed: dict[int, int] = {}
        self.moves = 0

    def look(self) -> None:
        """Do it once."""
        for tid, cpu in self._advisor.look(time.monotonic_ns(), self._samples()):
            try:
                self._place(tid, cpu)
            except OSError:  # it has died
                self._placed.pop(tid, None)

    def _samples(self) -> Iterator[Sample]:
        for slot in self._tasks.slots():
            tid = self._tasks.host_tid(slot)
            try:
                run_ns, _, runs = map(int, read_file(f"/proc/{tid}/schedstat").split())
            except (OSError, ValueError):
                continue
            yield Sample(tid, run_ns, runs)

    def _place(self, tid: int, cpu: int | None) -> None:
        own = {self._placed[tid]} if tid in self._placed else self._anywhere
        if os.sched_getaffinity(tid) != own:
            return
        os.sched_setaffinity(tid, self._anywhere if cpu is None else {cpu})
        self.moves += 1
        if cpu is None:
            self._placed.pop(tid, None)
        else:
            self._placed[tid] = cpu
