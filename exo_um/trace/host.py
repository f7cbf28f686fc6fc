"""Traces processes of the host by ptrace(2): `--platform ptrace`, and -p of a host process.

python-ptrace makes the requests. A tracee is seized, so that it may be stopped and continued by its
terminal as ever; each of its calls stops it twice.
"""

from __future__ import annotations

import ctypes  # noqa: TID251 - as python-ptrace, whose requests take addresses
import os
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posix_x.table.rows import NAMES, ROWS
from ptrace.binding.func import ptrace as request
from ptrace.error import PtraceError

from exo_um.trace.descriptors import of_task
from exo_um.trace.launch import become
from posix_x.decode.memory import Layered, Live, Snippets
from posix_x.decode.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exo_um.trace.launch import Program
    from exo_um.trace.sink import Sink
    from exo_um.trace.stacks import Stacks
    from exo_um.trace.tamper import Tampering

SYSCALL, GETSIGINFO, SEIZE, INTERRUPT, LISTEN, DETACH = 24, 0x4202, 0x4206, 0x4207, 0x4208, 17
GET_SYSCALL_INFO, GETREGS, SETREGS, GETEVENTMSG = 0x420E, 12, 13, 0x4201
SYSGOOD, FORK, VFORK, CLONE, EXEC = 1, 2, 4, 8, 16
EXITKILL = 1 << 20
EVENT_EXEC, EVENT_STOP = 4, 128
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
INFO = struct.Struct("<BxxxIQQ")
WALL = 0x40000000
RAX, ORIG_RAX = 10, 15
CALLEE_SAVED = (16, 19, 4, 5, 3, 2, 1, 0)  # rip, rsp, rbp, rbx, r12 to r15
ESRCH = 3


@dataclass
class Tracee:
    """A task: its memory, the call that it is in, when that began."""

    tid: int
    memory: Live
    view: View | None = None
    began_ns: int = 0
    began: bool = False
    change: Tampering | None = None  # what is done to that call
    shown: bool = True
    attached: bool = False


def wait_for_any() -> None:
    """Wait until a tracee has stopped or ended. Errors: KeyboardInterrupt, at no other place.

    So no stop is ever taken and lost.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOWAIT | WALL)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))


class HostTracer:
    """Runs or attaches to processes, and tells a sink what they do until all have ended."""

    def __init__(self, sink: Sink, follow: bool) -> None:
        """Tell sink; follow new tasks, too, if that is asked for."""
        self._sink = sink
        self._follow = follow
        self._tracees: dict[int, Tracee] = {}
        self._hidden = 0  # of the process that we start: until it executes the program
        self.first = 0
        self.status = 0
        self._attached: set[int] = set()
        self._stacks: Stacks | None = None

    def start(self, program: Program) -> None:
        """Start a program. Errors: OSError."""
        ready, go = os.pipe()
        self.first = os.fork()  # noqa: TID251 - one thread, and it executes at once
        if self.first == 0:
            try:
                os.close(go)
                os.read(ready, 1)
                os.close(ready)
                for number in (signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)  # noqa: TID251 - for the program
                if program.user is not None:
                    become(program.user)
                os.execve(program.path, program.argv, program.env)  # noqa: S606 - what we are for
            except OSError as error:
                os.write(2, f"exo-um trace: exec: {error.strerror}\n".encode())
            finally:
                os._exit(127)
        os.close(ready)
        self._hidden = self.first
        self._seize(self.first, EXITKILL)
        request(INTERRUPT, self.first, 0, 0)
        os.waitpid(self.first, WALL)
        self._resume(self.first)
        os.write(go, b"x")
        os.close(go)

    def attach(self, pid: int) -> None:
        """Attach to a running process, all of its threads if they are followed. Errors: OSError."""
        tids = [int(p.name) for p in Path(f"/proc/{pid}/task").iterdir()] if self._follow else [pid]
        for tid in tids:
            self._seize(tid, 0)
            request(INTERRUPT, tid, 0, 0)
            self._tracees[tid].attached = True
            self._attached.add(tid)
        self._sink.say(
            f"Process {pid} attached" + (f" with {len(tids)} threads" if len(tids) > 1 else "")
        )

    def _seize(self, tid: int, more: int) -> None:
        options = SYSGOOD | EXEC | more | (FORK | VFORK | CLONE if self._follow else 0)
        try:
            request(SEIZE, tid, 0, options)
        except PtraceError as error:
            raise OSError(error.errno or 1, f"attach: ptrace(PTRACE_SEIZE, {tid}): "
                          f"{os.strerror(error.errno or 1)}") from error  # fmt: skip
        self._add(tid)

    def _add(self, tid: int) -> Tracee:
        tracee = self._tracees[tid] = Tracee(tid, Live(tid))
        self._sink.born(tid)
        return tracee

    def _resume(self, tid: int, number: int = 0, how: int = SYSCALL) -> None:
        try:
            request(how, tid, 0, number)
        except PtraceError as error:
            if error.errno != ESRCH:  # killed meanwhile
                raise

    def run(self) -> int:
        """Trace until nobody is left; return the first one's wait status."""
        while self._tracees:
            try:
                wait_for_any()
                tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            except ChildProcessError:
                break
            if tid:
                self._handle(tid, status)
        return self.status

    def detach(self) -> None:
        """Let go of everybody who was attached to, each in a stop."""
        for tid in list(self._tracees):
            try:
                request(INTERRUPT, tid, 0, 0)
                _, status = os.waitpid(tid, WALL)
                number = os.WSTOPSIG(status) if os.WIFSTOPPED(status) and not status >> 16 else 0
                request(DETACH, tid, 0, 0 if number & ~0x80 == signal.SIGTRAP else number)
            except (PtraceError, ChildProcessError):
                continue
            self._sink.say(f"Process {tid} detached")

    def _handle(self, tid: int, status: int) -> None:
        now = time.time_ns()
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self._ended(tid, status, now)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        tracee = self._tracees.get(tid)
        if tracee is None:
            tracee = self._add(tid)
            if tid != self.first:
                self._sink.say(f"Process {tid} attached")
        if number == signal.SIGTRAP | 0x80:
            self._resume(tid, self._call(tracee, now))
        elif event == EVENT_STOP:
            stopped = number in STOPPING
            if stopped:
                self._sink.stopped(tid, now, number)
            self._resume(tid, how=LISTEN if stopped else SYSCALL)
        elif event == EVENT_EXEC:
            self._executed(tracee)
            self._resume(tid)
        elif event:
            self._resume(tid)
        else:
            self._signal(tracee, now)
            self._resume(tid, number)

    def _ended(self, tid: int, status: int, now: int) -> None:
        tracee = self._tracees.pop(tid, None)
        if tid == self.first or (not self.first and not self._tracees):
            self.status = status
        if tracee is not None:
            tracee.memory.close()
            if self._hidden != tid:
                self._sink.ended(tid, now, status)

    def _executed(self, tracee: Tracee) -> None:
        """Take note of new memory, and of a thread that has taken the first one's number."""
        former = ctypes.c_ulong()
        request(GETEVENTMSG, tracee.tid, 0, ctypes.addressof(former))
        other = self._tracees.pop(former.value, None) if former.value != tracee.tid else None
        if other is not None:
            tracee.view, tracee.began_ns, tracee.began = other.view, other.began_ns, other.began
            other.memory.close()
            self._sink.renamed(former.value, tracee.tid)
        tracee.memory.close()
        tracee.memory = Live(tracee.tid)

    def _signal(self, tracee: Tracee, now: int) -> None:
        info = ctypes.create_string_buffer(128)
        try:
            request(GETSIGINFO, tracee.tid, 0, ctypes.addressof(info))
        except PtraceError:
            return
        if self._hidden != tracee.tid:
            self._sink.signal(tracee.tid, now, info.raw)

    def _call(self, tracee: Tracee, now: int) -> int:
        """Take the beginning or end of a call; return a signal that is to come to it, 0: none."""
        buffer = ctypes.create_string_buffer(88)
        try:
            request(GET_SYSCALL_INFO, tracee.tid, 88, ctypes.addressof(buffer))
        except PtraceError:
            return 0
        operation, _, pointer, stack = INFO.unpack_from(buffer.raw)
        if operation == 1:
            nr, *args = struct.unpack_from("<7Q", buffer.raw, 24)
            self._enter(tracee, now, nr, tuple(args), stack, pointer)
            return tracee.change.signal if tracee.change is not None else 0
        if operation == 2 and tracee.view is not None:
            self._leave(tracee, now, struct.unpack_from("<q", buffer.raw, 24)[0])
        return 0

    def _enter(
        self, tracee: Tracee, now: int, nr: int, args: tuple[int, ...], stack: int, pointer: int
    ) -> None:
        tracee.change = None
        if self._hidden == tracee.tid:
            if nr >= len(NAMES) or NAMES[nr] != "execve":
                return
            self._hidden = 0
        before = Layered(Snippets(list(self._changing(tracee, nr, args))), tracee.memory)
        view = View(nr, args, None, before, tracee.memory, self._sink.options_of(nr), stack)
        view.pointer = pointer
        tracee.view, tracee.began_ns = view, now
        if self._sink.wishes.needs_fds:
            view.fd_text = of_task(tracee.tid, self._sink.wishes.paths > 1)
        if self._sink.wishes.stack:
            self._sink.frames(tracee.tid, self._frames(tracee))
        self._tamper(tracee, nr)
        tracee.shown = self._sink.enter(tracee.tid, now, view)

    def _frames(self, tracee: Tracee) -> str:
        if self._stacks is None:
            from exo_um.trace.stacks import Stacks

            self._stacks = Stacks()
        regs = (ctypes.c_ulong * 27)()
        request(GETREGS, tracee.tid, 0, ctypes.addressof(regs))
        return self._stacks.text(tracee.tid, tuple(regs[i] for i in CALLEE_SAVED), tracee.memory)

    def _changing(
        self, tracee: Tracee, nr: int, args: tuple[int, ...]
    ) -> Iterator[tuple[int, bytes]]:
        """Give what the call reads and may write over."""
        row = ROWS.get(nr)
        for value, arg in zip(args, row[3] if row else (), strict=False):
            if arg[1] == "inout" and value and 0 < arg[3] <= 64:
                yield value, tracee.memory.peek(value, arg[3])

    def _tamper(self, tracee: Tracee, nr: int) -> None:
        change = tracee.change = self._sink.tampering(tracee.tid, nr)
        if change is None:
            return
        if change.delay_enter_ns:
            time.sleep(change.delay_enter_ns / 1e9)  # noqa: TID251 - the delay asked for
        if change.result is not None:
            self._set_register(tracee.tid, ORIG_RAX, (1 << 64) - 1)

    def _leave(self, tracee: Tracee, now: int, result: int) -> None:
        view, change = tracee.view, tracee.change
        assert view is not None
        tracee.view = None
        if change is not None and change.result is not None:
            result = change.result
            self._set_register(tracee.tid, RAX, result & (1 << 64) - 1)
        if change is not None and change.delay_exit_ns:
            time.sleep(change.delay_exit_ns / 1e9)  # noqa: TID251 - the delay asked for
        view.result = result
        tail = change.tail if change is not None else ""
        self._sink.leave(tracee.tid, now, view, now - tracee.began_ns, tail)

    def _set_register(self, tid: int, number: int, value: int) -> None:
        regs = (ctypes.c_ulong * 27)()
        request(GETREGS, tid, 0, ctypes.addressof(regs))
        regs[number] = value
        request(SETREGS, tid, 0, ctypes.addressof(regs))
