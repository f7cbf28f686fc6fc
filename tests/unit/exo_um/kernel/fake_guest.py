"""A guest without a process: writes call frames as the runtime does. Not a test."""

from __future__ import annotations

import os

from exo_um.bindings import ffi, lib
from exo_um.bindings.port import Port
from exo_um.kernel.instance import Instance


class FakeGuest:
    """One task of an instance, whose thread is the calling one."""

    def __init__(self, instance: Instance, port: Port, parent: int = 0) -> None:
        self.instance = instance
        self.port = port
        self.kr = instance.region.kr
        self.slot = lib.exo_task_create(self.kr, parent, False)
        self.task = self.kr.tasks[self.slot]
        self.frame = self.kr.frames[self.slot]
        lib.exo_task_set_host(self.kr, self.slot, os.getpid(), os.getpid())
        self.task.state = lib.EXO_TASK_ALIVE

    def stage(self, i: int, offset: int, data: bytes) -> None:
        """Put the memory of argument i into the frame."""
        self.frame.arg_offset[i], self.frame.arg_size[i] = offset, len(data)
        self.instance.region.frame_data(self.slot, offset, len(data))[:] = data

    def post(self, nr: int, *args: int, state: int = 0) -> None:
        """Post a call, or with a state the answer to a host call."""
        if not state:
            self.frame.nr = nr
            self.frame.sequence += 1
            for i, arg in enumerate(args):
                self.frame.args[i] = arg
        self.frame.state = state or lib.EXO_FRAME_POSTED
        self.task.call_posted = 1
        self.kr.calls_posted = 1
        if self.kr.kernel_sleeping:
            os.eventfd_write(self.port.doorbell, 1)

    def host_done(self, result: int) -> None:
        """Answer the host call that the kernel asked for."""
        self.frame.host_result = result
        self.post(0, state=lib.EXO_FRAME_HOSTDONE)

    def state(self) -> int:
        """The frame's state without the mark of sleepers."""
        return int(self.frame.state & ~lib.EXO_FRAME_WAITING)

    def wait_for(self, state: int) -> None:
        """Wait until the kernel has brought the frame into a state."""
        while self.state() != state:
            os.sched_yield()

    def out(self, i: int) -> bytes:
        """What the kernel wants copied back for argument i."""
        return self.memory(self.frame.arg_offset[i], self.frame.out_size[i])

    def memory(self, offset: int, size: int) -> bytes:
        """Bytes of the frame's data."""
        return bytes(self.instance.region.frame_data(self.slot, offset, size))

    def alive(self) -> None:
        """Mark the task alive, held by the calling thread."""
        lib.exo_alive_mark(ffi.addressof(self.kr.tasks, self.slot), lib.exo_self(), ffi.NULL)
