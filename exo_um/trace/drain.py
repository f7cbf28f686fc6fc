"""Takes what guests' runtimes tell out of an instance's rings, and hands it to a sink.

Calls whose like was seen before are answered from remembered text by native/host/drain.c; the
others are decoded here.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

from exo_um.bindings import ffi, lib
from exo_um.trace.descriptors import Runtimes
from exo_um.trace.events import Called, called_of, pieces_of
from exo_um.trace.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings.region import Region
    from exo_um.trace.clock import Clock
    from exo_um.trace.sink import Sink
    from exo_um.trace.stacks import Stacks
    from posix_x.decode.view import View

RING_SIZE = 1 << 13  # records
LOOK_NS = 50_000_000  # between looks for who was killed without a word
SIGKILL = 9
WAIT4 = 61


class Task:
    """A watched task."""

    def __init__(self, tid: int, slot: int) -> None:
        self.tid = tid
        self.slot = slot
        self.process = tid
        self.began = 0  # sequence number of the call whose beginning was written
        self.status: int | None = None
        self.told: list[tuple[int, int, bytes]] = []  # memory of its next call, told before it


class Drain:
    """The watching side of one instance."""

    def __init__(self, region: Region, sink: Sink, clock: Clock, alive: Callable[[], bool]) -> None:
        """Watch a region; alive says whether the instance goes on."""
        self._kr = region.kr
        self._sink = sink
        self._alive = alive
        self._drain: Any = ffi.new("struct exo_drain *")
        lib.exo_drain_init(self._drain, region.kr)
        self._tasks: dict[int, Task] = {}
        self._clock = clock
        self._plain = sink.is_plain()
        self.decoded = 0  # calls whose lines were not written in C
        self._drain.column = sink.writer.style.column
        self._drain.string_limit = sink.options.string_limit
        self._templates = Templates(self._drain, sink.options.verbose)
        self.first_status: int | None = None
        self.first = 0
        self._left = False
        self.leaves = False  # somebody wants us to end
        self._last = 0  # number of the event with which we do then, at the latest
        self.leave_with = 0  # pid with whose end ours comes
        self._first_call: View | None = None
        self._stacks: Stacks | None = None
        self._fds = Runtimes(sink.wishes.paths > 1)

    @property
    def events(self) -> int:
        """Return how many events there were."""
        return int(self._drain.events)

    @property
    def lost(self) -> int:
        """Return how many records never came: their tasks were killed while writing them."""
        return int(self._drain.lost)

    def run(self) -> None:
        """Take events until the instance has ended, or everybody who was watched has."""
        code = 1
        while code >= 0:
            code = self.step()
            if code == 0 and (self.leaves or not self._idle()):
                return
            if self.leaves and self.events > self._last:
                return

    def leave(self) -> None:
        """End soon, with what has been told until now."""
        self.leaves = True
        self._last = self.events + lib.EXO_RECORD_RING_COUNT * RING_SIZE

    def step(self) -> int:
        """Take events until one has to be looked at here; return 0 for none, <0 for the end."""
        self._drain.plain = self._plain and self._sink.writer.is_whole()
        self._drain.prefix = self._sink.writer.prefix_kind()
        code: int = lib.exo_drain_next(self._drain)
        self._pass_on()
        if code == 1:
            self._handle()
        return code

    def _pass_on(self) -> None:
        if self._drain.used:
            self._sink.writer.raw(bytes(ffi.buffer(self._drain.out, self._drain.used)))
            self._drain.used = 0

    def _idle(self) -> bool:
        """Write what is going on, and wait for more; False: nothing will come."""
        for task in list(self._tasks.values()):
            if self._is_in_new_call(task):
                self._begin(task)
        self._sink.writer.flush()
        if lib.exo_drain_wait(self._drain, LOOK_NS) == 0:
            return True
        self._look_for_dead()
        return self._alive() and not (self._left and not self._tasks)

    def _is_in_new_call(self, task: Task) -> bool:
        if task.status is not None:
            return False
        inside = lib.exo_drain_progress(self._drain, task.slot, task.tid)
        return bool(inside) and task.began != self._drain.event.sequence

    def _look_for_dead(self) -> None:
        for task in list(self._tasks.values()):
            place = self._kr.tasks[task.slot]
            if place.tid == task.tid and lib.exo_alive_test(ffi.addressof(place)):
                continue
            if lib.exo_drain_wait(self._drain, 0) == 0:
                return  # it may have left a word
            self._end(task, self._end_of_process(task) if task.status is None else task.status)

    def _end_of_process(self, task: Task) -> int:
        for other in self._tasks.values():
            if other.process == task.process and other.status is not None:
                return other.status
        return SIGKILL

    def finish(self) -> None:
        """Write how those ended who were killed at the very end."""
        for task in list(self._tasks.values()):
            self._end(task, task.status if task.status is not None else SIGKILL)

    def start_with(self, view: View) -> None:
        """Write a call before all others: the one that has executed the program."""
        self._first_call = view

    def _task(self, tid: int) -> Task:
        task = self._tasks.get(tid)
        if task is None:
            task = self._tasks[tid] = Task(tid, lib.exo_task_find(self._kr, tid))
            task.process = int(self._kr.tasks[task.slot].tgid) or tid
            if not self.first:
                self.first = tid
            lib.exo_drain_forget(self._drain)  # prefixes may differ now
            self._sink.born(tid)
            if self._first_call is not None:
                view, self._first_call = self._first_call, None
                self._sink.call(tid, time.time_ns(), view, 0, "")
        return task

    def _handle(self) -> None:
        event = self._drain.event
        task = self._task(event.tid)
        data = bytes(ffi.buffer(event.data, event.size))
        kind = event.kind
        if kind == lib.EXO_RECORD_CALL:
            self._call(task, data, event.sequence)
            return
        at = self._clock.ns(int.from_bytes(data[:8], "little"))
        if kind == lib.EXO_RECORD_MEMORY:
            task.told += pieces_of(data, 8)
            if task.began == event.sequence:
                task.began += event.size // lib.EXO_RECORD_DATA
        elif kind == lib.EXO_RECORD_SIGNAL:
            self._sink.signal(task.tid, at, data[8:])
        elif kind == lib.EXO_RECORD_ENDED:
            status, whole = struct.unpack_from("<QQ", data, 8)
            self._ended(task, at, status, bool(whole))
        elif kind == lib.EXO_RECORD_STACK:
            self._stack(task, data)
        elif kind == lib.EXO_RECORD_BORN:
            task.process = int.from_bytes(data[8:16], "little")
            task.slot = lib.exo_task_find(self._kr, task.tid)

    def _stack(self, task: Task, data: bytes) -> None:
        """Walk up the stack of a task that waits for us to have done so."""
        if self._stacks is None:
            from exo_um.trace.stacks import Stacks

            self._stacks = Stacks()
        host_pid = int(self._kr.tasks[task.slot].host_tgid)
        self._sink.frames(task.tid, self._stacks.text(host_pid, struct.unpack_from("<8Q", data, 8)))
        lib.exo_record_walked(self._kr, task.slot, task.tid)

    def _view(self, task: Task, data: bytes) -> Called:
        """Return the call of an event: its view, when it began, cycles spent, and its flags."""
        wishes = self._sink.wishes
        called = called_of(data, task.told, self._sink.options_of)
        if wishes.needs_fds:
            called.view.fd_text = self._fds.of_event(called.before, called.after)
        return called

    def _begin(self, task: Task) -> None:
        event = self._drain.event
        called = self._view(task, bytes(ffi.buffer(event.data, event.size)))
        called.view.result = None
        if self._sink.enter(task.tid, self._clock.ns(called.began), called.view):
            task.began = event.sequence
            lib.exo_drain_begun(self._drain, task.tid, event.sequence)

    def _call(self, task: Task, data: bytes, sequence: int) -> None:
        called = self._view(task, data)
        view, flags = called.view, called.flags
        whole = not task.told
        task.told = []
        self.decoded += 1
        at, spent_ns = self._clock.ns(called.began), self._clock.span_ns(called.spent)
        tail = ""
        if flags & (lib.EXO_CALLED_INJECTED | lib.EXO_CALLED_DELAYED):
            tail = " (INJECTED)" if flags & lib.EXO_CALLED_INJECTED else ""
            tail += " (DELAYED)" if flags & lib.EXO_CALLED_DELAYED else ""
        if flags & lib.EXO_CALLED_ENDLESS:
            view.result = None
            self._sink.enter(task.tid, at, view)
        elif task.began == sequence:
            self._waited_for(view)
            self._sink.leave(task.tid, at + spent_ns, view, spent_ns, tail)
        else:
            self._waited_for(view)
            text = self._sink.call(task.tid, at, view, spent_ns, tail)
            if text is not None and self._plain and whole:
                lib.exo_drain_remember(self._drain, text, len(text))
                self._templates.learn(view)

    def _waited_for(self, view: View) -> None:
        """Take note of the end of a task that wait4(2) tells of: it may have left no word."""
        task = self._tasks.get(view.result or 0) if view.nr == WAIT4 else None
        data = view.after.peek(view.args[1], 4) if task is not None else b""
        if task is None or len(data) < 4:
            return
        status = int.from_bytes(data, "little")
        if status & 0xFF != 0x7F and status != 0xFFFF:
            self._end(task, status)

    def _ended(self, task: Task, at: int, status: int, whole: bool) -> None:
        task.status = status
        if not whole:
            self._end(task, status, at)
            return
        others = [t for t in self._tasks.values() if t.process == task.process and t is not task]
        for other in [*others, task]:
            self._end(other, status, at)

    def _end(self, task: Task, status: int, at: int = 0) -> None:
        if self._tasks.pop(task.tid, None) is None:
            return
        lib.exo_drain_ended(self._drain, task.tid)
        if task.tid == self.first:
            self.first_status = status
        self._left = self._left or task.tid == self.leave_with
        self._sink.ended(task.tid, at or time.time_ns(), status)
        lib.exo_drain_forget(self._drain)
