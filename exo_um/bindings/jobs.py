"""Jobs for the kernel process's workers: threads that the predictive scheduler drives.

What they do is in native/host/jobs.c and where that leads.

Used by the serve loop's one thread only, and imported when there is something to do.
"""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from exo_um.bindings.region import Region

LIST_PIDS: int = lib.EXO_LIST_PIDS
LIST_TIDS: int = lib.EXO_LIST_TIDS
LIST_FDS: int = lib.EXO_LIST_FDS
FOUND_LIMIT = 512


class Job:
    """One thing to do, in C. Whoever has it may have it done once at a time."""

    __slots__ = ("_kept", "makes_fd", "native")

    # Whether it waits for nobody, and is not to wait behind one that may.
    urgent = False

    def __init__(self, region: Region, kind: int) -> None:
        """Make one of enum exo_job_kind."""
        self.native: Any = ffi.new("struct exo_job *")
        self.native.kr, self.native.kind = region.kr, kind
        self.native.one_more = -1
        self._kept: list[Any] = []
        self.makes_fd = False  # of what it has made: the result

    def _string(self, text: bytes) -> Any:
        kept = ffi.new("char[]", text)
        self._kept.append(kept)
        return kept

    def _make(self, name: bytes, path: bytes | None) -> None:
        self.makes_fd = True
        self.native.name = self._string(name)
        if path is not None:
            self.native.path = self._string(path)

    def do(self) -> int:
        """Do it here; return its result, or -errno."""
        return int(lib.exo_host_job_do(self.native))

    def discard(self, result: int) -> None:
        """Close what it has made for somebody who is gone."""
        if self.makes_fd and result >= 0:
            os.close(result)


class Collect(Job):
    """Frees what killed tasks held of the heap; the result is how many bytes.

    Errors of the result: EINVAL, the region is not as it should be, and nothing was freed.
    """

    __slots__ = ()
    urgent = True

    def __init__(self, region: Region) -> None:
        super().__init__(region, lib.EXO_JOB_COLLECT)


class FindDead(Job):
    """Finds the slots of tasks that are gone from the host; the result is how many.

    limit: no more than so many.
    """

    __slots__ = ("_found",)
    urgent = True
    limit = FOUND_LIMIT

    def __init__(self, region: Region) -> None:
        super().__init__(region, lib.EXO_JOB_FIND_DEAD)
        self._found = ffi.new("struct exo_dead[]", FOUND_LIMIT)
        self.native.found, self.native.limit = self._found, FOUND_LIMIT

    def found(self, count: int) -> list[tuple[int, int, int]]:
        """Return the slots, tids and host tids of the last result; host tid 0: not born."""
        dead = self._found[0 : max(count, 0)]
        return [(one.slot, one.tid, one.host_tid) for one in dead]


def copy_maps(region: Region, path: bytes, name: bytes) -> Job:
    """Copy a host's maps or smaps, as the guest is to see it, to a memfd; the result is its fd.

    Errors of the result: ENOENT, the process is gone.
    """
    job = Job(region, lib.EXO_JOB_MAPS)
    job._make(name, path)
    native = job.native
    native.copies_major, native.copies_minor, native.copies_inode = region.copies_id()
    return job


def copy_cmdline(region: Region, path: bytes, name: bytes) -> Job:
    """Copy a host's cmdline without the loader's words; as copy_maps()."""
    job = Job(region, lib.EXO_JOB_CMDLINE)
    job._make(name, path)
    return job


class ListNumbers(Job):
    """Writes the getdents64(2) records of a directory of numbers to a memfd: the result is its fd.

    what: LIST_PIDS, LIST_TIDS or LIST_FDS, of the task in slot.
    """

    __slots__ = ()

    def __init__(
        self, region: Region, name: bytes, what: int, slot: int, first: tuple[int, int]
    ) -> None:
        """Make one; first: the inode of number 0, and the d_type of all."""
        super().__init__(region, lib.EXO_JOB_LIST)
        self._make(name, None)
        self.native.list, self.native.slot = what, slot
        self.native.first_inode, self.native.d_type = first

    def add_host(self, path: bytes) -> None:
        """Put the names of a directory of the host's first, without numbers."""
        self.native.path = self._string(path)

    def add(self, number: int) -> None:
        """Put one more number into it."""
        self.native.one_more = number


class Jobs:
    """The workers, one pinned to each CPU that this process may run on, and who has what to do."""

    __slots__ = ("_given", "_next", "native", "workers")

    def __init__(self) -> None:
        """Start them. Errors: EAGAIN, ENOMEM, EMFILE: the host has no room for them."""
        self.native: Any = ffi.new("struct exo_jobs *")
        check(lib.exo_host_jobs_open(self.native))
        self._given: dict[int, Job] = {}
        self._next = 0
        self.workers = self.stats()["workers"]

    def start(self, job: Job) -> int:
        """Give a job to a worker; return the number that take() will name. Errors: ENOMEM."""
        self._next += 1
        job.native.number = self._next
        self._given[self._next] = job
        error = lib.exo_host_job_start(self.native, job.native)
        if error < 0:
            del self._given[self._next]
        check(error)
        return self._next

    def take(self) -> list[tuple[int, int]]:
        """Return the numbers and results of those that have ended, the first to end first."""
        ended = lib.exo_host_jobs_take(self.native)
        taken = []
        while ended != ffi.NULL:
            taken.append((int(ended.number), int(ended.result)))
            ended = ended.next
        for number, _ in taken:
            del self._given[number]
        return taken[::-1]

    def close(self) -> None:
        """End the workers when they have ended their jobs."""
        lib.exo_host_jobs_close(self.native)

    def stats(self) -> dict[str, int]:
        """Return struct exo_workers_stats."""
        stats = ffi.new("struct exo_workers_stats *")
        lib.exo_workers_stats(self.native.workers, stats)
        return {name: getattr(stats, name) for name, _ in ffi.typeof(stats[0]).fields}
