"""The tracer of the ptrace platform: a process of its own, started by exo_um.kernel.tracer.

Every guest thread runs under PTRACE_SYSEMU: a `syscall` stops it, and the host skips the call.

- Outside the runtime the call is the guest's: the thread is sent to exo_entry, as a stub would.
- Inside, it is one that the runtime makes of the host, and the thread is sent back to the
  instruction. Under PTRACE_SYSCALL it stops at the end of the skipped call (LEAVING), then at the
  instruction once more (COMING): that call will be made, and from there on PTRACE_SYSEMU holds
  again. A signal in between loses nothing, as the instruction is still to be executed.

A guest's call that may need the host is followed under PTRACE_SYSCALL from the start, which spares
a stop. All of this is in native/host/trace.c, since it happens at every call. Here is what happens
now and then: taking up guests, their signals, their group's stops, forks, execs and ends.

Ends when the kernel process hangs up; the guests die with it (PTRACE_O_EXITKILL).
Sources: ptrace(2), "Stopping and restarting" and "PTRACE_SYSEMU".
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import NoReturn

from ptrace import PtraceError
from ptrace.binding import func as binding

from exo_um.bindings.process import SignalWatch
from exo_um.bindings.region import OpenedRegion
from exo_um.bindings.trace import SyscallStops
from exo_um.kernel.tracer import CONTROL_FD, REGION_FD, REQUEST
from posix_x.table import rows

# What python-ptrace has no name for.
PTRACE_SYSEMU = 31
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
PTRACE_LISTEN = 0x4208
PTRACE_EVENT_STOP = 128
PTRACE_O_EXITKILL = 1 << 20
OPTIONS = (
    binding.PTRACE_O_TRACESYSGOOD
    | binding.PTRACE_O_TRACEFORK
    | binding.PTRACE_O_TRACEVFORK
    | binding.PTRACE_O_TRACECLONE
    | binding.PTRACE_O_TRACEEXEC
    | PTRACE_O_EXITKILL
)
GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
FD_LIMIT = 1 << 30


class Tracing:
    """All threads of an instance's guests, from their first stop to their end."""

    def __init__(self) -> None:
        self._awaited: dict[int, int] = {}  # slots of those whose first stop is to come

    def seize(self, host_pid: int, slot: int) -> None:
        """Trace a process that waits for it; it stops soon, and is then known by its slot."""
        try:
            binding.ptrace(PTRACE_SEIZE, host_pid, 0, OPTIONS)
            binding.ptrace(PTRACE_INTERRUPT, host_pid)
        except PtraceError as error:
            if error.errno != errno.ESRCH:
                give_up(f"the host lets nobody trace: {os.strerror(error.errno)}")
        else:
            self._awaited[host_pid] = slot

    def stopped(self, tid: int, status: int) -> int | None:
        """Have a thread go on, or stay in its group's stop; return the slot of an awaited one."""
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if event == PTRACE_EVENT_STOP and number in GROUP_STOPS:
                binding.ptrace(PTRACE_LISTEN, tid)
            else:
                binding.ptrace(PTRACE_SYSEMU, tid, 0, 0 if event else number)
        except PtraceError as error:
            if error.errno != errno.ESRCH:  # killed in its stop
                raise
        return self._awaited.pop(tid, None)

    def ended(self, tid: int) -> None:
        """Forget a thread."""
        self._awaited.pop(tid, None)


def give_up(why: str) -> NoReturn:
    """Say why and end, and with us the instance."""
    os.write(2, f"exo-um: --platform ptrace: {why}\n".encode())
    os._exit(1)


def main() -> None:
    """Serve until the kernel process hangs up."""
    os.closerange(REGION_FD + 1, FD_LIMIT)  # the guests': others may wait for their end
    signals = SignalWatch((signal.SIGCHLD,))
    control = socket.socket(fileno=CONTROL_FD)
    fast = [number for number, row in rows.ROWS.items() if row[1] == "fast"]
    stops = SyscallStops(OpenedRegion(REGION_FD), signals.fd, CONTROL_FD, fast)
    tracing = Tracing()
    while True:
        happened = stops.serve()
        if happened is None:
            request = control.recv(REQUEST.size)
            if len(request) != REQUEST.size:
                os._exit(0)
            tracing.seize(*REQUEST.unpack(request))
        elif os.WIFSTOPPED(happened[1]):
            slot = tracing.stopped(*happened)
            if slot is not None:
                stops.let_go(slot)
        else:
            tracing.ended(happened[0])
