"""Boots an instance: region, first guest, serve loop, shutdown. The only file that names concretes.

Every import here is on the way to the guest's first instruction, which is why the handlers of
legacy calls come later and pathlib, typing and the like not at all.
"""

from __future__ import annotations

import errno
import os
import time

from exo_um.bindings import lib
from exo_um.bindings.port import Port
from exo_um.bindings.process import Signals, become_subreaper, nofile_limits
from exo_um.bindings.region import Region
from exo_um.kernel.instance import Instance
from exo_um.kernel.reaper import Reaper
from exo_um.kernel.serve import Server
from exo_um.kernel.terminal import SI_KERNEL, SIGHUP, Terminal, is_for_guest
from exo_um.kernel.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from exo_um.bindings.process import Place
    from exo_um.kernel.call import Handlers
    from exo_um.kernel.control import Control, Joining
    from exo_um.kernel.recording import Recording
    from exo_um.kernel.rundir import Entry
    from exo_um.kernel.tracer import Tracer

PACKAGE = __file__.rpartition("/")[0]
LOADER = f"{PACKAGE}/_native/exo-guest"
WATCH = f"{PACKAGE}/_native/exo-watch"
SIGCHLD = 17
SIGCONT = 18
SIGKILL = 9
# Long enough for a program that prints a line and ends never to pay for the handlers.
IDLE_NS = 10_000_000


class Boot:
    """What to boot: a program, its arguments and environment, and how to run it."""

    __slots__ = (
        "argv",
        "batch",
        "env",
        "intercept",
        "loader",
        "name",
        "net",
        "patch",
        "path",
        "placement",
        "platform",
        "recorder",
        "region",
        "stats",
        "verbose",
        "wish",
        "zero_copy",
    )

    def __init__(self, path: bytes, argv: list[bytes], env: dict[bytes, bytes]) -> None:
        self.path = path
        self.argv = argv
        self.env = env
        self.intercept = "dispatch"
        self.loader = LOADER
        self.name: str | None = None
        self.batch = "on"
        self.net = "exo"
        self.patch = True
        self.placement = "none"
        self.platform = "inproc"
        self.stats = False
        self.verbose = False
        self.zero_copy = "on"
        self.region: Region | None = None  # made before, by who traces it from its beginning
        self.recorder: socket.socket | None = None  # ... to that one
        self.wish: dict[str, Any] | None = None  # ... and how


class EntryError(Exception):
    """An instance cannot have the name that it was to have; says why."""

    def __init__(self, name: str, error: OSError) -> None:
        taken = error.errno == errno.EADDRINUSE
        why = "an instance of that name is running" if taken else str(error)
        super().__init__(f"--name {name}: {why}")


class Machine:
    """A booted instance with its first guest running."""

    def __init__(self, boot: Boot) -> None:
        self.inherited = inherited_fds()
        self.nofile = nofile_limits()
        self.terminal = Terminal()
        self.signals = Signals()
        become_subreaper()
        self.instance = Instance(boot.region or Region(), boot.verbose)
        self.region = self.instance.region
        self.places = boot.placement != "none"
        self.port = Port(self.region, self.signals.fd)
        self._set_facts(boot)
        self.recording = self._start_recording(boot)
        self.watch = Watch(WATCH, self.region)
        self.entry = None if boot.name is None else self._enter(boot.argv, boot.name)
        self.control: Control | None = None
        self.loader = os.open(boot.loader, os.O_PATH | os.O_CLOEXEC)
        slot = self._create(self.inherited)
        self.region.kr.tasks[slot].host_pgid = self.region.kr.kernel_host_pgid
        self.region.kr.tasks[slot].ignored = self.signals.ignored
        if self.recording is not None:
            self.recording.watch(slot, running=False)
        self.region.kr.stats.boot_ns[lib.EXO_BOOT_SPAWN] = time.monotonic_ns()
        try:
            self.tracer = self._start_tracer(boot)
            self.first_pid = self._spawn(slot, boot.path, boot.argv, boot.env)
        except OSError:
            self._leave()
            raise
        self.reaper = Reaper(self.instance.tasks, self.first_pid, self.watch)
        if self.tracer is not None:
            self.reaper.tracer = self.tracer.host_pid
            self.reaper.watch(self.tracer.host_pid, self._on_tracer_death)
        self._close_inherited()
        if self.entry is None:  # beside the guest's own start, which does not wait for it
            self.entry = self._enter(boot.argv, boot.name)
        if boot.recorder is not None:
            self._open_control().add_tracer(boot.recorder)

    def _start_recording(self, boot: Boot) -> Recording | None:
        """Set up what is to be told of the guests, and let the one who asked for it look."""
        if boot.wish is None:
            return None
        from exo_um.kernel.recording import Recording

        recording = Recording(self.region)
        recording.start(boot.wish)
        if boot.recorder is not None:
            boot.recorder.send(b"{}")
        return recording

    def _set_facts(self, boot: Boot) -> None:
        kr = self.region.kr
        kr.kernel_host_pid = os.getpid()
        kr.kernel_host_pgid = os.getpgrp()
        kr.kernel_host_sid = os.getsid(0)
        kr.cpu_count = len(os.sched_getaffinity(0))
        intercepts = {
            "dispatch": lib.EXO_INTERCEPT_DISPATCH,
            "seccomp": lib.EXO_INTERCEPT_SECCOMP,
        }
        traced = boot.platform == "ptrace"
        kr.intercept = lib.EXO_INTERCEPT_PTRACE if traced else intercepts[boot.intercept]
        kr.flags = (
            (lib.EXO_KR_STATS if boot.stats else 0)
            | (0 if boot.patch and not traced else lib.EXO_KR_NO_PATCH)
            | (lib.EXO_KR_NET_HOST if boot.net == "host" else 0)
            | (lib.EXO_KR_COPIES if boot.zero_copy == "off" else 0)
            | (lib.EXO_KR_BELLS if boot.batch == "off" else 0)
        )
        self.region.mark_kernel_alive()

    def _enter(self, argv: list[bytes], name: str | None) -> Entry | None:
        """Make the instance findable; one that was not given a name can do without."""
        from exo_um.kernel.rundir import Entry

        self.instance.argv = argv
        try:
            entry = Entry(os.environ, name)
        except OSError as error:
            if name is not None:
                raise EntryError(name, error) from error
            self.instance.say(f"not to be found by exo-um ps: {error}")
            return None
        self.instance.name = entry.name
        self.port.watch_control(entry.fd)
        return entry

    def _leave(self) -> None:
        if self.entry is not None:
            self.entry.remove()

    def _start_tracer(self, boot: Boot) -> Tracer | None:
        """Start the process that intercepts the guests' calls, if the platform has one."""
        if boot.platform != "ptrace":
            return None
        from exo_um.kernel.tracer import Tracer

        tracer = Tracer(self.region)
        self.signals.tracer = tracer.host_pid
        return tracer

    def _create(self, fds: dict[int, int]) -> int:
        """Create a slot for a guest that we start, with its limits and open fds."""
        kr = self.region.kr
        slot: int = lib.exo_task_create(kr, 0, False)
        if slot == 0:
            raise OSError(errno.EAGAIN, "too many tasks")
        task = kr.tasks[slot]
        task.fd_table = self.region.table_create()
        for fd, host in fds.items():
            self.region.table_install(task.fd_table, fd, host)
        task.nofile_soft, task.nofile_hard = self.nofile
        return slot

    def _spawn(
        self,
        slot: int,
        path: bytes,
        argv: list[bytes],
        env: dict[bytes, bytes],
        place: Place | None = None,
    ) -> int:
        words = [b"exo1:%d:-1:0" % slot, path, *argv]
        envp = [name + b"=" + value for name, value in env.items()]
        region, port = self.region, self.port
        fds = (region.fd, port.doorbell, port.guest_channel, self.loader, region.copies)
        host_pid = self.signals.spawn(words, envp, fds, place)
        if self.tracer is not None:
            self.tracer.seize(host_pid, slot)
        return host_pid

    def join(self, joining: Joining) -> tuple[int, int]:
        """Start one more program; return its pid in the instance and on the host."""
        slot = self._create({fd: fd for fd in joining.open})
        task = self.region.kr.tasks[slot]
        pid: int = task.tid
        task.pgid = task.sid = pid
        task.ignored = joining.place.ignored
        try:
            return pid, self._spawn(slot, joining.path, joining.argv, joining.env, joining.place)
        except OSError:
            self.instance.tasks.free(slot)
            raise

    def _close_inherited(self) -> None:
        """Close what is the guest's alone: others may wait for the end of these pipes.

        Standard error stays, for messages; so does the terminal that is to be given back.
        """
        for host in self.inherited.values():
            if host != 2 and not (host == 0 and self.terminal.is_terminal):
                os.close(host)

    def run(self) -> int:
        """Serve until the first guest has died; return its status as a shell would have it."""
        spin = self.region.kr.cpu_count > 1
        server = Server(self.instance, self.port, load_handlers, spin=spin)
        self.reaper.server = server
        if self.places:
            from exo_um.kernel.placement import INTERVAL_NS, Placement

            server.every(INTERVAL_NS, Placement(self.instance.tasks).look)
        server.run(self._on_signals, self._on_control, IDLE_NS)
        self.reaper.kill_all()
        if self.recording is not None:
            self.recording.stop()
        self.watch.stop()
        self._leave()
        self.terminal.give_back()
        code = os.waitstatus_to_exitcode(self.reaper.status or 0)
        return code if code >= 0 else 128 - code

    def _on_tracer_death(self, _: int) -> None:
        """End the instance: without the tracer nobody serves the guests' calls."""
        if self.reaper.status is None:
            os.kill(self.first_pid, SIGKILL)

    def _on_control(self) -> None:
        self._open_control().serve()

    def _open_control(self) -> Control:
        if self.control is None:
            import socket

            from exo_um.kernel.control import Control

            if self.entry is not None:
                listener = self.entry.fd
            else:  # nobody can find us, but for who traces us
                self._nobody = socket.socketpair()
                listener = self._nobody[0].fileno()
            if self.recording is None:
                from exo_um.kernel.recording import Recording

                self.recording = Recording(self.region)
            self.control = Control(self.instance, self.reaper, listener, self.join, self.recording)
            self.port.watch_control(self.control.fd)
        return self.control

    def _on_signals(self) -> bool:
        while signal := self.signals.next():
            number, code, sender = signal
            if number != SIGCHLD and is_for_guest(self.instance.tasks, number, code, sender):
                os.kill(self.first_pid, number)
                if (number, code) == (SIGHUP, SI_KERNEL):  # a stopped one has to hear it, too
                    os.kill(self.first_pid, SIGCONT)
        self.reaper.reap()
        return self.reaper.status is not None


def inherited_fds() -> dict[int, int]:
    """Map the fds that exo-um's caller left open for its child to host fds.

    Their numbers are the same, except where the runtime needs the number for itself.
    """
    fds: dict[int, int] = {}
    with os.scandir("/proc/self/fd") as entries:
        numbers = sorted(int(entry.name) for entry in entries)
    for fd in numbers:
        try:
            if os.get_inheritable(fd):
                fds[fd] = move_away(fd) if lib.EXO_FD_COPIES <= fd <= lib.EXO_FD_LOADER else fd
        except OSError:  # it was the directory that we just read
            continue
    return fds


def move_away(fd: int) -> int:
    """Move an inheritable host fd above the numbers that the runtime reserves."""
    import fcntl

    moved: int = fcntl.fcntl(fd, fcntl.F_DUPFD, lib.EXO_FD_LOADER + 1)
    os.close(fd)
    return moved


def load_handlers() -> Handlers:
    """Import the handlers of the legacy tier."""
    from posix_x.syscalls import HANDLERS

    return HANDLERS
