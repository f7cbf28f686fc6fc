"""The kernel process of an instance that a preloaded program has made (native/preload/).

Started by the first of the guests that needs it (native/runtime/companion.c), which hands over the
region, the doorbell, both ends of the channel and the loader at fixed fds. Nobody's parent: orphans
are the host's to reap, and the instance is over when no task of it is left.
"""

from __future__ import annotations

import os
import select
import time

from exo_um.bindings import lib
from exo_um.bindings.port import Port
from exo_um.bindings.process import Signals
from exo_um.bindings.region import OpenedRegion
from exo_um.boot import IDLE_NS, Machine, load_handlers
from exo_um.kernel.instance import Instance
from exo_um.kernel.reaper import Reaper
from exo_um.kernel.serve import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Call, Handlers
    from exo_um.kernel.control import Control

FIRST_SLOT = 1
EXIT_GROUP = 231  # posted by the first guest about to end, if its calls were counted
LOOK_NS = 1_000_000_000


class Orphanage(Reaper):
    """A reaper whose tasks are other processes' children: it only frees slots."""

    def _has_newborn(self) -> bool:
        """Say that there may be one: we cannot see children of a dead process."""
        return True


class Companion(Machine):
    """A kernel process that has joined a running instance."""

    def __init__(self) -> None:
        self.instance = Instance(OpenedRegion(lib.EXO_FD_KR))
        self.region = self.instance.region
        self.region.copies = lib.EXO_FD_COPIES
        kr = self.region.kr
        first = kr.tasks[FIRST_SLOT]
        self.nofile = int(first.nofile_soft), int(first.nofile_hard)
        self.first_pid = int(first.host_tgid)
        self.signals = Signals()
        ends = lib.EXO_FD_KERNEL_END, lib.EXO_FD_CHANNEL
        self.port = Port(self.region, self.signals.fd, lib.EXO_FD_DOORBELL, ends)
        self.loader = lib.EXO_FD_LOADER
        self.stats = os.fsdecode(self.region.string(kr.companion.stats))
        self.places = False
        self.tracer = self.control = self.recording = None
        self.reaper = Orphanage(self.instance.tasks, self.first_pid)
        self._bells = select.epoll()
        self._first = self._watch_first()
        self.region.mark_kernel_alive()
        lib.exo_host_kernel_serves(kr)
        self.entry = self._enter(read_arguments(self.first_pid), None)
        if self.entry is not None:
            self._bells.register(self.entry.fd, select.EPOLLIN)
        self.port.watch_control(self._bells.fileno())

    def _watch_first(self) -> int:
        """Return a pidfd of the first guest, which is readable when that has ended; -1: it has."""
        try:
            fd = os.pidfd_open(self.first_pid)
        except ProcessLookupError:
            return -1
        self._bells.register(fd, select.EPOLLIN)
        return fd

    def run(self) -> int:
        """Serve until no task is left."""
        spin = self.region.kr.cpu_count > 1
        server = Server(self.instance, self.port, self._load_handlers, spin=spin)
        self.reaper.server = server
        self._come_back = server.come_back
        server.every(LOOK_NS, server.come_back)
        server.run(self._on_signals, self._on_control, IDLE_NS)
        self._report()
        self._leave()
        return 0

    def _load_handlers(self) -> Handlers:
        return {**load_handlers(), EXIT_GROUP: self._on_first_exit}

    def _on_first_exit(self, call: Call) -> int:
        self._report(os.waitstatus_to_exitcode(call.args[0]))
        return 0

    def _report(self, status: int | None = None) -> None:
        """Write the counts, once; status is None where only the host knows it."""
        if not self.stats:
            return
        from exo_um.kernel import stats

        started_ns = int(self.region.kr.stats.boot_ns[lib.EXO_BOOT_LOADER])
        times = stats.Times(started_ns, started_ns, time.monotonic_ns())
        stats.write(self.stats, stats.collect(self.instance, times, status))
        self.stats = ""

    def _on_control(self) -> None:
        for fd, _ in self._bells.poll(0):
            if fd == self._first:
                self._bells.unregister(fd)
                self._report()
                self._come_back()
            else:
                super()._on_control()

    def _open_control(self) -> Control:
        if self.control is None:
            control = super()._open_control()
            if self.entry is not None:
                self._bells.unregister(self.entry.fd)
            self._bells.register(control.fd, select.EPOLLIN)
            self.port.watch_control(self._bells.fileno())
        return super()._open_control()

    def _on_signals(self) -> bool:
        """Free the slots of the dead; whether nobody is left."""
        while self.signals.next():
            pass
        self.reaper.reap()
        tasks = self.instance.tasks
        return not any(tasks.alive(slot) for slot in tasks.leaders())


def read_arguments(host_pid: int) -> list[bytes]:
    """Return a process's arguments as the host shows them; none if it has gone."""
    from exo_um.kernel.hostproc import read_file

    try:
        return read_file(f"/proc/{host_pid}/cmdline").split(b"\0")[:-1]
    except OSError:
        return []


def main() -> int:
    """Run as the kernel process of the instance whose fds we were given."""
    return Companion().run()
