"""Boots an instance: region, first guest, serve loop, shutdown. The only file that names concretes.

Every import here is on the way to the guest's first instruction, which is why the handlers of
legacy calls come later and pathlib, typing and the like not at all.
"""

from __future__ import annotations

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
    from exo_um.kernel.call import Handlers

PACKAGE = __file__.rpartition("/")[0]
LOADER = f"{PACKAGE}/_native/exo-guest"
WATCH = f"{PACKAGE}/_native/exo-watch"
SIGCHLD = 17
SIGCONT = 18
# Long enough for a program that prints a line and ends never to pay for the handlers.
IDLE_NS = 10_000_000


class Boot:
    """What to boot: a program, its arguments and environment, and how to run it."""

    __slots__ = ("argv", "env", "intercept", "loader", "patch", "path", "stats", "verbose")

    def __init__(self, path: bytes, argv: list[bytes], env: dict[bytes, bytes]) -> None:
        self.path = path
        self.argv = argv
        self.env = env
        self.intercept = "dispatch"
        self.loader = LOADER
        self.patch = True
        self.stats = False
        self.verbose = False


class Machine:
    """A booted instance with its first guest running."""

    def __init__(self, boot: Boot) -> None:
        self.inherited = inherited_fds()
        self.nofile = nofile_limits()
        self.terminal = Terminal()
        self.signals = Signals()
        become_subreaper()
        self.instance = Instance(Region(), boot.verbose)
        self.region = self.instance.region
        self.port = Port(self.region, self.signals.fd)
        self._set_facts(boot)
        self.watch = Watch(WATCH, self.region)
        self.first_slot = self._create_first()
        self.first_pid = self._spawn(boot)
        self.reaper = Reaper(self.instance.tasks, self.first_pid, self.watch)
        self._close_inherited()

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
        kr.intercept = intercepts[boot.intercept]
        kr.flags = (lib.EXO_KR_STATS if boot.stats else 0) | (
            0 if boot.patch else lib.EXO_KR_NO_PATCH
        )
        self.region.mark_kernel_alive()

    def _create_first(self) -> int:
        """Give the first guest its slot, limits, and the fds that exo-um's caller left open."""
        kr = self.region.kr
        slot: int = lib.exo_task_create(kr, 0, False)
        task = kr.tasks[slot]
        task.host_pgid = kr.kernel_host_pgid
        task.fd_table = self.region.table_create()
        for fd, host in self.inherited.items():
            self.region.table_install(task.fd_table, fd, host)
        task.nofile_soft, task.nofile_hard = self.nofile
        task.ignored = self.signals.ignored
        return slot

    def _spawn(self, boot: Boot) -> int:
        loader = os.open(boot.loader, os.O_PATH | os.O_CLOEXEC)
        try:
            argv = [b"exo1:%d:-1:0" % self.first_slot, boot.path, *boot.argv]
            envp = [name + b"=" + value for name, value in boot.env.items()]
            fds = (self.region.fd, self.port.doorbell, self.port.guest_channel, loader)
            self.region.kr.stats.boot_ns[lib.EXO_BOOT_SPAWN] = time.monotonic_ns()
            return self.signals.spawn(argv, envp, fds)
        finally:
            os.close(loader)

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
        server.run(self._on_signals, IDLE_NS)
        self.reaper.kill_all()
        self.watch.stop()
        self.terminal.give_back()
        code = os.waitstatus_to_exitcode(self.reaper.status or 0)
        return code if code >= 0 else 128 - code

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
                fds[fd] = move_away(fd) if lib.EXO_FD_EXE <= fd <= lib.EXO_FD_LOADER else fd
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
