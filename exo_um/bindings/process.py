"""Host processes and signals: starting the first guest, and our own dispositions and limits."""

from __future__ import annotations

import sys

from exo_um.bindings import check, ffi, lib

SIGCHLD = 17

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region


class Signals:
    """The kernel process's signals: blocked, and read from a signalfd.

    Making one changes the dispositions of the calling process; what they were is what a guest
    starts with.
    """

    __slots__ = ("_next", "_signals", "fd", "ignored", "tracer")

    def __init__(self) -> None:
        self._signals = ffi.new("struct exo_signals *")
        self._next = ffi.new("struct exo_signal *")
        self.tracer = 0  # host pid of a process that may trace what is spawned
        check(lib.exo_host_signals_open(self._signals))
        # Those that Python has changed before anybody could look (launcher/main.c).
        self._signals.ignored |= int(sys._xoptions.get("ignored", "0"))  # noqa: SLF001
        self.fd: int = self._signals.fd
        self.ignored: int = self._signals.ignored

    def next(self) -> tuple[int, int, int] | None:
        """Return number, si_code and host pid of the sender of a pending signal, or None."""
        if not check(lib.exo_host_signal_next(self.fd, self._next)):
            return None
        return self._next.number, self._next.code, self._next.host_pid

    def spawn(
        self,
        argv: list[bytes],
        envp: list[bytes],
        fds: tuple[int, int, int, int, int],
        place: Place | None = None,
    ) -> int:
        """Start the loader with the caller's dispositions; return its host pid.

        fds: region, doorbell, channel's guest end, loader, copies of code. Errors: those of
        vfork and execveat, and of entering place.
        """
        strings = [ffi.new("char[]", text) for text in (*argv, *envp)]
        spawn = ffi.new("struct exo_spawn *")
        argv_array = ffi.new("char *[]", [*strings[: len(argv)], ffi.NULL])
        envp_array = ffi.new("char *[]", [*strings[len(argv) :], ffi.NULL])
        spawn.signals, spawn.argv, spawn.envp = self._signals, argv_array, envp_array
        spawn.fds, spawn.tracer = fds, self.tracer
        if place is None:
            return check(lib.exo_host_spawn(spawn))
        signals = ffi.new("struct exo_signals *")
        signals.ignored, signals.mask = place.ignored, place.blocked
        where = ffi.new("struct exo_place *")
        where.stdio, where.directory = place.stdio, place.directory
        where.terminal, where.umask = place.terminal, place.umask
        spawn.signals, spawn.place = signals, where
        return check(lib.exo_host_spawn(spawn))


def start_watch(path: str, region: Region) -> int:
    """Start exo-watch, which kills every guest should this process die; return its host pid."""
    return check(lib.exo_host_watch(path.encode(), region.fd))


class SignalWatch:
    """Signals that are blocked from now on, and read from a signalfd."""

    __slots__ = ("_next", "fd")

    def __init__(self, numbers: tuple[int, ...]) -> None:
        mask = 0
        for number in numbers:
            mask |= 1 << (number - 1)
        self._next = ffi.new("struct exo_signal *")
        self.fd = check(lib.exo_host_signals_watch(mask))

    def next(self) -> tuple[int, int] | None:
        """Return number and si_code of a pending signal, or None."""
        if not check(lib.exo_host_signal_next(self.fd, self._next)):
            return None
        return self._next.number, self._next.code


class Place:
    """Where a program begins that joins a running instance, as its caller has it.

    stdio: host fds, -1 for closed ones; ignored and blocked: bit n - 1 stands for signal n.
    """

    __slots__ = ("blocked", "directory", "ignored", "stdio", "terminal", "umask")

    def __init__(self, stdio: tuple[int, int, int], directory: int) -> None:
        self.stdio = stdio
        self.directory = directory
        self.terminal = False
        self.umask = 0o022
        self.ignored = self.blocked = 0


def stop_self(number: int) -> None:
    """Stop this process by a stop signal; return when it has been continued."""
    check(lib.exo_host_stop_self(number))


def become_subreaper() -> None:
    """Have orphans among our descendants become our children."""
    check(lib.exo_host_subreaper_set())


def nofile_limits() -> tuple[int, int]:
    """Return this process's RLIMIT_NOFILE: soft, hard."""
    limits = ffi.new("uint64_t[2]")
    check(lib.exo_host_nofile_get(limits))
    return limits[0], limits[1]


def kill_task(region: Region, slot: int) -> bool:
    """Kill the process of a task if it is alive; never another that got its number."""
    return int(lib.exo_host_task_kill(region.kr, slot)) == 0


def call_waiter(host_tgid: int, host_tid: int) -> None:
    """Wake a thread that waits for what it traces. It may be gone."""
    queued = ffi.new("struct exo_queued *", {"number": lib.EXO_CALLING, "code": lib.EXO_SI_WAKE})
    lib.exo_host_signal_queue(host_tgid, host_tid, queued)


def queue_child_signal(host_tgid: int, code: int, about: tuple[int, int, int]) -> None:
    """Send SIGCHLD about (pid, uid, si_status) to a process. It may be gone."""
    pid, uid, status = about
    fields = {"number": SIGCHLD, "code": code, "pid": pid, "uid": uid, "status": status}
    lib.exo_host_signal_queue(host_tgid, 0, ffi.new("struct exo_queued *", fields))


def signal_task(region: Region, slot: int, tid: int, number: int) -> None:
    """Send a signal to the process of a task. Errors: ESRCH, it is gone; EPERM, EINVAL."""
    check(lib.exo_host_task_signal(region.kr, slot, tid, number))
