"""Where guests reach the kernel process: doorbell, posted calls, replies, handed-over fds.

The protocol stands in native/include/exo/abi.h. Used by the serve loop's one thread only.
"""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.jobs import Jobs
    from exo_um.bindings.region import Region

BATCH = 64


class Port:
    """The kernel process's end of the call frames of one instance."""

    __slots__ = ("_ends", "_kr", "_receiver", "_slots", "_wait", "doorbell")

    def __init__(
        self,
        region: Region,
        signals_fd: int,
        doorbell: int | None = None,
        ends: tuple[int, int] | None = None,
    ) -> None:
        """Make the port of a new instance, or take over fds that its guests have already."""
        self._kr = region.kr
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        self.doorbell = os.eventfd(0, flags) if doorbell is None else doorbell
        self._ends = ffi.new("int[2]")
        if ends is None:
            check(lib.exo_host_channel_open(self._ends))
        else:
            self._ends[0], self._ends[1] = ends
        self._slots = ffi.new("uint32_t[]", BATCH)
        self._wait = ffi.new("struct exo_wait *")
        self._wait.kr, self._wait.doorbell, self._wait.signals = self._kr, self.doorbell, signals_fd
        self._wait.control = -1
        self._wait.jobs = ffi.NULL
        lib.exo_clock_note()
        self._receiver: tuple[int, int, int] | None = None

    @property
    def guest_channel(self) -> int:
        """The end of the channel that guests inherit."""
        return int(self._ends[1])

    def watch_control(self, fd: int) -> None:
        """Have wait() give EXO_WAKE_CONTROL while fd is readable; -1: no longer."""
        self._wait.control = fd

    def watch_jobs(self, jobs: Jobs | None) -> None:
        """Have wait() give EXO_WAKE_JOBS when some of these have ended."""
        self._wait.jobs = ffi.NULL if jobs is None else jobs.native

    def wait(self, spin_ns: int, timeout_ns: int = -1, awaits_handover: bool = False) -> int:
        """Wait for bits of enum exo_wake; 0 after timeout_ns (-1: never)."""
        wait = self._wait
        wait.spin_ns, wait.timeout_ns = spin_ns, timeout_ns
        wait.sleep_flags = lib.EXO_KERNEL_AWAITS_HANDOVER if awaits_handover else 0
        return check(lib.exo_host_wait(wait))

    def take(self) -> list[int]:
        """Take the posted calls: the slots they stand in."""
        count: int = lib.exo_host_calls_take(self._kr, self._slots, BATCH)
        return ffi.unpack(self._slots, count) if count else []

    def reply(self, slot: int, sequence: int, result: int, flags: int) -> None:
        """Finish a call with a result or -errno; a caller that died meanwhile is no error."""
        lib.exo_host_reply(self._kr, slot, sequence, result, flags)

    def ask(self, slot: int, sequence: int) -> None:
        """Publish the host call that was written into the frame."""
        lib.exo_host_ask(self._kr, slot, sequence)

    def send(self, fd: int, slot: int, tid: int, sequence: int) -> None:
        """Send a host fd to the task that is about to get a reply with EXO_REPLY_FD."""
        check(lib.exo_host_channel_send(self._ends, fd, slot, sequence))
        self._receiver = slot, tid, sequence

    def channel_idle(self) -> bool:
        """Whether the last fd sent was taken, or its receiver is dead."""
        if self._receiver and lib.exo_host_channel_idle(self._kr, self._ends, *self._receiver):
            self._receiver = None
        return self._receiver is None
