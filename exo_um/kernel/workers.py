"""The kernel process's pinned workers: what would hold up the serve loop is done by them.

They are threads, started with the first job: an instance that needs none has none. Jobs are C
(exo_um.bindings.jobs): Python on another thread would hold up the loop all the same. What an ended
job leads to is done by the serve loop's thread, in settle().
"""

from __future__ import annotations

import os

from exo_um.bindings.jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings.jobs import Job
    from exo_um.bindings.port import Port

    Ended = Callable[[int], None]


class Workers:
    """Has jobs done; used by the serve loop's thread only."""

    __slots__ = ("_jobs", "_port", "_waiting")

    def __init__(self, port: Port) -> None:
        self._port = port
        self._jobs: Jobs | None = None
        self._waiting: dict[int, tuple[Job, Ended]] = {}

    @property
    def busy(self) -> int:
        """How many jobs have not ended yet."""
        return len(self._waiting)

    def do(self, job: Job, ended: Ended) -> None:
        """Have a worker do a job, and then settle() call ended with its result, or -errno.

        Where the host has no room for threads it is done here, and ended called at once; and so is
        an urgent one while all workers have something to do, which may be to wait for a guest.
        """
        if job.urgent and self._jobs and self.busy >= self._jobs.workers:
            call(ended, job.do())
            return
        try:
            if self._jobs is None:
                self._jobs = Jobs()
                self._port.watch_jobs(self._jobs)
            self._waiting[self._jobs.start(job)] = job, ended
        except OSError:
            call(ended, job.do())

    def settle(self) -> None:
        """Go on with what waits for jobs that have ended."""
        if self._jobs is None:
            return
        for number, result in self._jobs.take():
            _, ended = self._waiting.pop(number)
            call(ended, result)

    def close(self) -> None:
        """Wait for all jobs, then end the threads; nobody hears of these jobs.

        A kernel process that ends need not do this.
        """
        if self._jobs is None:
            return
        self._port.watch_jobs(None)
        self._jobs.close()
        for number, result in self._jobs.take():
            self._waiting.pop(number)[0].discard(result)
        self._jobs = None


def call(ended: Ended, result: int) -> None:
    """Call what waits for a job; its bug is reported, and the loop goes on."""
    try:
        ended(result)
    except Exception as error:  # noqa: BLE001 - whatever it is
        import traceback

        text = "".join(traceback.format_exception(error))
        os.write(2, f"exo-um: what waited for a worker failed\n{text}".encode())
