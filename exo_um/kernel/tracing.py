"""The tracer of the ptrace platform: a process of its own, started by exo_um.kernel.tracer.

Every guest thread runs under PTRACE_SYSEMU: a `syscall` stops it, and the host skips the call.

- Outside the runtime the call is the guest's: the thread is sent to exo_entry, as a stub would.
- Inside, it is one that the runtime makes of the host, and the thread is sent back to the
  instruction. Under PTRACE_SYSCALL it stops at the end of the skipped call (LEAVING), then at the
  instruction once more (COMING): that call will be made, and from there on PTRACE_SYSEMU holds
  again. A signal in between loses nothing, as the instruction is still to be executed.

A guest's call that is known to need the host is followed under PTRACE_SYSCALL from the start, which
spares a stop.

Ends when the kernel process hangs up; the guests die with it (PTRACE_O_EXITKILL).
Sources: ptrace(2), "Stopping and restarting" and "PTRACE_SYSEMU".
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from ptrace import PtraceError
from ptrace.binding import func as binding

from exo_um.bindings import lib
from exo_um.bindings.process import SignalWatch
from exo_um.bindings.region import OpenedRegion
from exo_um.kernel.tracer import CONTROL_FD, REGION_FD, REQUEST
from posix_x.table import rows

if TYPE_CHECKING:
    from ptrace.binding.linux_struct import user_regs_struct

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
SYSCALL_STOP = signal.SIGTRAP | 0x80
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
NO_CALL = (1 << 64) - 1  # orig_rax: make none, restart none
LEAVING, COMING = 1, 2  # what a thread's next syscall stop is, if it is not PTRACE_SYSEMU's
ENOSYS = (1 << 64) - errno.ENOSYS
FAST = frozenset(number for number, row in rows.ROWS.items() if row[1] == "fast")
FD_LIMIT = 1 << 30
INT80 = 0x80CD


class Tracing:
    """All threads of an instance's guests, from their first stop to their end."""

    def __init__(self, region: OpenedRegion) -> None:
        self._region = region
        self._runtime = range(lib.EXO_WINDOW_BASE, lib.EXO_KR_BASE)
        self._awaited: dict[int, int] = {}  # slots of those whose first stop is to come
        self._next: dict[int, int] = {}  # LEAVING and COMING, by thread

    def seize(self, host_pid: int, slot: int) -> None:
        """Trace a process that waits for it; it is let go on after its first stop."""
        try:
            binding.ptrace(PTRACE_SEIZE, host_pid, 0, OPTIONS)
            binding.ptrace(PTRACE_INTERRUPT, host_pid)
        except PtraceError as error:
            if error.errno != errno.ESRCH:
                give_up(f"the host lets nobody trace: {os.strerror(error.errno)}")
        else:
            self._awaited[host_pid] = slot

    def stopped(self, tid: int, status: int) -> None:
        """Do what a thread's stop asks for, and let it go on."""
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if number == SYSCALL_STOP:
                self._called(tid)
            elif event == PTRACE_EVENT_STOP:
                self._halted(tid, number)
            elif event:
                self._next.pop(tid, None)
                binding.ptrace(PTRACE_SYSEMU, tid)
            else:
                self._next.pop(tid, None)
                binding.ptrace(PTRACE_SYSEMU, tid, 0, number)
        except PtraceError as error:
            if error.errno != errno.ESRCH:  # killed in its stop
                raise

    def ended(self, tid: int) -> None:
        """Forget a thread."""
        self._next.pop(tid, None)
        self._awaited.pop(tid, None)

    def _called(self, tid: int) -> None:
        expected = self._next.pop(tid, 0)
        if expected == LEAVING:
            self._next[tid] = COMING
            binding.ptrace(binding.PTRACE_SYSCALL, tid)
            return
        regs = binding.ptrace_getregs(tid)
        request = PTRACE_SYSEMU
        if regs.rip not in self._runtime:
            number = regs.orig_rax & 0xFFFFFFFF
            self._enter(tid, regs)
            if expected != COMING and number not in FAST:
                request = binding.PTRACE_SYSCALL
        elif expected == COMING:
            binding.ptrace(request, tid)
            return
        else:
            regs.rip -= 2
            regs.rax = regs.orig_rax
            request = binding.PTRACE_SYSCALL
        regs.orig_rax = NO_CALL
        binding.ptrace_setregs(tid, regs)
        if request == binding.PTRACE_SYSCALL:
            self._next[tid] = LEAVING
        binding.ptrace(request, tid)

    def _enter(self, tid: int, regs: user_regs_struct) -> None:
        """Send a thread to exo_entry; a 32-bit call fails at once."""
        if is_int80(tid, regs.rip):
            regs.rax = ENOSYS
            return
        regs.rax = regs.orig_rax & 0xFFFFFFFF
        regs.rcx = regs.rip
        regs.rip = self._region.kr.entry

    def _halted(self, tid: int, number: int) -> None:
        """Leave a thread in its group's stop, or have one that was only interrupted go on."""
        self._next.pop(tid, None)
        if number in STOPS:
            binding.ptrace(PTRACE_LISTEN, tid)
            return
        binding.ptrace(PTRACE_SYSEMU, tid)
        slot = self._awaited.pop(tid, None)
        if slot is not None:
            lib.exo_host_traced(self._region.kr, slot)


def is_int80(tid: int, end: int) -> bool:
    """Whether the instruction that ends there is int $0x80."""
    for start in (end - 8, end - 2):  # the word may reach out of the code on one side
        try:
            word = binding.ptrace(binding.PTRACE_PEEKTEXT, tid, start, check_errno=True)
        except PtraceError:
            continue
        return bool(word >> 8 * (end - 2 - start) & 0xFFFF == INT80)
    return False


def give_up(why: str) -> NoReturn:
    """Say why and end, and with us the instance."""
    os.write(2, f"exo-um: --platform ptrace: {why}\n".encode())
    os._exit(1)


def reap(tracing: Tracing) -> None:
    """Handle every thread that has stopped or ended."""
    while True:
        try:
            tid, status = os.waitpid(-1, os.WNOHANG | binding.THREAD_TRACE_FLAGS)
        except ChildProcessError:
            return
        if tid == 0:
            return
        if os.WIFSTOPPED(status):
            tracing.stopped(tid, status)
        else:
            tracing.ended(tid)


def main() -> None:
    """Serve until the kernel process hangs up."""
    os.closerange(REGION_FD + 1, FD_LIMIT)  # the guests': others may wait for their end
    signals = SignalWatch((signal.SIGCHLD,))
    tracing = Tracing(OpenedRegion(REGION_FD))
    control = socket.socket(fileno=CONTROL_FD)
    poll = select.poll()
    poll.register(signals.fd, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if control.fileno() in ready:
            request = control.recv(REQUEST.size)
            if len(request) != REQUEST.size:
                os._exit(0)
            tracing.seize(*REQUEST.unpack(request))
        while signals.next():
            pass
        reap(tracing)
