"""Takes a profiled program's events.

native/host/profile.c sums up calls, and asks here for what it cannot know: where callers are, what
descriptors lead to.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from exo_um.bindings import check, ffi, lib
from exo_um.trace.drain import Drain, Task
from posix_x.profile import tally
from posix_x.profile.files import AT_FDCWD, UNKNOWN, Files, path_of
from posix_x.profile.spaces import Place, Spaces
from posix_x.table.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exo_um.bindings.region import Region
    from exo_um.trace.clock import Clock
    from exo_um.trace.sink import Sink
    from posix_x.decode.view import View

MOVES = {
    "read": 1, "pread64": 1, "recvfrom": 1, "write": 2, "pwrite64": 2, "sendto": 2,
    "readv": 3, "preadv": 3, "preadv2": 3, "writev": 4, "pwritev": 4, "pwritev2": 4,
    "recvmsg": 5, "sendmsg": 6,
}  # fmt: skip
# Calls between two writes that have nothing to do with them.
NEUTRAL = (
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "time", "times",
    "clock_gettime", "gettimeofday", "getrusage", "getcpu", "brk", "mmap", "munmap", "madvise",
    "mprotect", "rt_sigprocmask", "sched_yield",
)  # fmt: skip
# What changes descriptors, or tells of mappings and ends.
TELLING = (
    "socket", "accept", "accept4", "dup", "dup2", "dup3", "fcntl", "close", "pipe", "pipe2",
    "socketpair", "chdir", "fchdir", "mmap", "wait4", "fork", "vfork", "clone", "clone3",
)  # fmt: skip
FORKS = ("fork", "vfork", "clone", "clone3")
WITH_PATH = {
    nr: tuple(
        (i, i - 1 if i and row[3][i - 1][1] == "dirfd" else -1)
        for i, argument in enumerate(row[3])
        if argument[1] == "path"
    )
    for nr, row in ROWS.items()
    if any(argument[1] == "path" for argument in row[3])
}
PROT_EXEC = 4
MMAP = 9
IMAGE = ffi.sizeof("struct exo_imaged")


class Watcher(Drain):
    """The watching side of a profiled instance."""

    def __init__(self, region: Region, sink: Sink, clock: Clock, alive: Callable[[], bool]) -> None:
        """Watch a region. Errors: OSError, out of memory."""
        super().__init__(region, sink, clock, alive)
        self.found = tally.Tally()
        self.spaces = Spaces()
        self._files: dict[int, Files] = {}  # by process, as all of these
        self._parent: dict[int, int] = {}
        self._space: dict[int, int] = {}
        self._named: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._profile: Any = ffi.new("struct exo_profile *")
        check(lib.exo_profile_init(self._profile))
        self._profile.recording = ffi.addressof(region.kr.recording)
        for nr, row in ROWS.items():
            self._profile.io[nr] = MOVES.get(row[0], 0)
        wanted = [nr for nr, row in ROWS.items() if nr in WITH_PATH or row[0] in TELLING]
        neutral = [nr for nr, row in ROWS.items() if row[0] in NEUTRAL]
        for bits, numbers in ((self._profile.wanted, wanted), (self._profile.neutral, neutral)):
            set_bits(bits, numbers)

    def run(self) -> None:
        """Take events until the instance has ended, or everybody who was watched has."""
        while True:
            code = lib.exo_profile_next(self._profile, self._drain)
            if code == lib.EXO_PROFILE_EVENT:
                self._handle()
            elif code == lib.EXO_PROFILE_RULE:
                self._add_rule(self._profile.asked_space, self._profile.asked_pc)
            elif code == lib.EXO_PROFILE_FULL:
                self._gather()
            elif code in (lib.EXO_PROFILE_COPY, lib.EXO_PROFILE_RUN):
                self._name(code)
            elif code < 0 or not self._idle():
                return

    def finish(self) -> None:
        """Gather what is left."""
        super().finish()
        self._gather()
        found, profile = self.found, self._profile
        found.calls = profile.calls
        found.cycles = max(0, profile.ended - profile.began)
        found.lost = self.lost
        found.hz = 1e9 / (self._clock.span_ns(10**12) / 1e12)
        lib.exo_profile_deinit(profile)

    def _handle(self) -> None:
        event = self._drain.event
        if event.kind == lib.EXO_RECORD_IMAGE:
            self._executed(self._task(event.tid), bytes(ffi.buffer(event.data, event.size)))
            return
        if event.kind != lib.EXO_RECORD_MEMORY:  # of which nothing is needed here
            super()._handle()
        if event.kind == lib.EXO_RECORD_BORN:
            data = bytes(ffi.buffer(event.data, 24))
            self._born(self._task(event.tid), int.from_bytes(data[16:24], "little"))

    def _born(self, task: Task, parent: int) -> None:
        # Not all may have come that the parent did before: it is asked at the child's first call.
        if task.process == task.tid:
            self._parent[task.tid] = parent
            self._space[task.tid] = self.spaces.new(lambda: self._space.get(parent, 0))
            self.found.processes += 1
        lib.exo_profile_enter(self._profile, task.tid, self._space.get(task.process, 0))

    def _files_of(self, process: int) -> Files:
        """Return a process's descriptors: at first they are its parent's."""
        if process not in self._files:
            parent = self._files.get(self._parent.get(process, 0))
            self._files[process] = parent.copy() if parent is not None else Files()
        return self._files[process]

    def _executed(self, task: Task, data: bytes) -> None:
        path, interpreter = data[IMAGE:].split(b"\0")[:2]
        image = ffi.from_buffer("struct exo_imaged *", data)
        space = self._space[task.process] = self.spaces.new()
        if interpreter:
            self.spaces.load(space, interpreter.decode(errors="replace"), image.interp_bias)
        self.spaces.load(space, path.decode(errors="replace"), image.bias)
        lib.exo_profile_enter(self._profile, task.tid, space)

    def _add_rule(self, space: int, pc: int) -> None:
        rule = ffi.new("struct exo_profile_rule *", {"space": space, "pc": pc})
        mapped = self.spaces.find(space, pc - 1)
        if mapped is not None:
            address = pc - mapped.bias
            rule.own = mapped.binary.is_own(address - 1)
            if not rule.own:
                rule.base, rule.cfa, rule.rbp_at = mapped.binary.rule(address)
        lib.exo_profile_add(self._profile, rule)

    def _end(self, task: Task, status: int, at: int = 0) -> None:
        super()._end(task, status, at)
        self._files.pop(task.tid, None)

    def _call(self, task: Task, data: bytes, sequence: int) -> None:  # noqa: ARG002 - as there
        called = self._view(task, data)
        view, spent = called.view, called.spent
        self._waited_for(view)
        files = self._files_of(task.process)
        if view.nr in WITH_PATH:
            self._look_up(files, view, spent)
        if view.name in FORKS and view.result and not view.failed:
            self._files.setdefault(view.result, files.copy())
        if view.nr == MMAP:
            self._map(task, files, view)
        files.take(view)

    def _look_up(self, files: Files, view: View, spent: int) -> None:
        for index, directory in WITH_PATH[view.nr]:
            path = path_of(view, view.args[index])
            if path:
                whole = files.path(view.i32(directory) if directory >= 0 else AT_FDCWD, path)
                self.found.paths.add(view.name, whole, view.failed, spent)
                spent = 0  # of a call with two paths, the first has it

    def _map(self, task: Task, files: Files, view: View) -> None:
        start, size, protection, _, fd, offset = view.args
        thing = files.things.get(view.i32(4), UNKNOWN)
        space = self._space.get(task.process)
        if protection & PROT_EXEC and not view.failed and fd and thing.kind == "file" and space:
            start = (view.result or 0) & (1 << 64) - 1
            self.spaces.map(space, start, size, thing.name, offset)

    def _name(self, code: int) -> None:
        """Note what the descriptors of a new pattern lead to, while they do."""
        profile = self._profile
        row = profile.copies if code == lib.EXO_PROFILE_COPY else profile.runs
        one = row[profile.latest]
        task = self._tasks.get(self._drain.event.tid)
        things = self._files_of(task.process).things if task else {}
        fds = (one.to, getattr(one, "from")) if code == lib.EXO_PROFILE_COPY else (one.fd, one.fd)
        shown = tuple(things.get(fd, UNKNOWN._replace(name=f"fd {fd}")) for fd in fds)
        self._named[code, profile.latest] = (shown[0], shown[1])

    def _gather(self) -> None:
        """Add what the tables hold to what was found, and empty them."""
        profile = self._profile
        for i in range(profile.site_count):
            self._gather_site(profile.sites[i])
        for i in range(profile.copy_count):
            self._gather_copy(profile.copies[i], self._named.get((lib.EXO_PROFILE_COPY, i)))
        for i in range(profile.run_count):
            self._gather_run(profile.runs[i], self._named.get((lib.EXO_PROFILE_RUN, i)))
        self._named.clear()
        lib.exo_profile_empty(profile)

    def _place(self, one: Any, at: int, caller: int) -> tuple[Place, Place | None]:
        """Return the program's own place, and the library's below it."""
        place = self.spaces.place(one.space, at)
        return (self.spaces.place(one.space, caller), place) if caller else (place, None)

    def _gather_site(self, one: Any) -> None:
        own, by = self._place(one, one.at, one.caller)
        host, legacy = (bool(one.way & bit) for bit in (lib.EXO_CALLED_HOST, lib.EXO_CALLED_LEGACY))
        counts = ffi.unpack(one.buckets, lib.EXO_PROFILE_BUCKETS)
        buckets = Counter({i: count for i, count in enumerate(counts) if count})
        site = tally.Site(one.calls, one.errors, one.cycles, one.bytes, one.most, buckets)
        key = tally.SiteKey(one.nr, own, by, host, legacy)
        self.found.sites.setdefault(key, tally.Site()).add(site)

    def _gather_copy(self, one: Any, things: tuple[Any, Any] | None) -> None:
        read, _ = self._place(one, one.read_at, one.read_caller)
        write, _ = self._place(one, one.write_at, one.write_caller)
        key = tally.CopyKey(name_of(one.read_nr), read, name_of(one.write_nr), write)
        copy = self.found.copies.setdefault(key, tally.Copy())
        add_numbers(copy, one, ("reads", "writes", "bytes", "read_cycles", "write_cycles"))
        add_numbers(copy, one, ("same", "changed"))
        copy.largest = max(copy.largest, one.largest)
        if things is not None and things[::-1] not in copy.ways:
            copy.ways.append((things[1], things[0]))

    def _gather_run(self, one: Any, things: tuple[Any, Any] | None) -> None:
        key = tally.RunKey(name_of(one.nr), self._place(one, one.at, one.caller)[0])
        run = self.found.runs.setdefault(key, tally.Run())
        add_numbers(run, one, ("runs", "writes", "bytes", "cycles", "asked"))
        run.longest = max(run.longest, one.longest)
        if things is not None and things[0] not in run.to:
            run.to.append(things[0])


def add_numbers(to: object, one: Any, names: Iterable[str]) -> None:
    """Add fields of a struct to those of an object."""
    for name in names:
        setattr(to, name, getattr(to, name) + getattr(one, name))


def set_bits(bits: Any, numbers: list[int]) -> None:
    """Set the bits of calls' numbers."""
    for nr in numbers:
        bits[nr // 64] |= 1 << nr % 64


def name_of(nr: int) -> str:
    """Return a call's name."""
    return ROWS[nr][0] if nr in ROWS else f"syscall_{nr:#x}"
