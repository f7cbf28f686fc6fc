"""The serve loop: one thread that waits for posted calls, runs their handlers and replies.

It never waits for one guest: a handler that needs one is a generator, kept by slot until that
guest's next post; an fd to hand over waits in a queue until the channel is idle. What would take
long is done by workers.
"""

from __future__ import annotations

import errno
import os
import time

from exo_um.bindings import lib
from exo_um.kernel.call import Call, HostCall, NewFd, Pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings.jobs import Job
    from exo_um.bindings.port import Port
    from exo_um.kernel.call import Answer, Handlers, Steps, Work
    from exo_um.kernel.instance import Instance
    from exo_um.kernel.workers import Workers

SPIN_NS = 30_000
# A receiver of an fd that is killed rings no bell; only then does this time pass.
HANDOVER_TIMEOUT_NS = 20_000_000
CALLS_BETWEEN_SIGNALS = 32


class Server:
    """Serves the legacy calls of an instance's guests."""

    def __init__(
        self, instance: Instance, port: Port, load_handlers: Callable[[], Handlers], *, spin: bool
    ) -> None:
        self._instance = instance
        self._port = port
        self._load_handlers = load_handlers
        self._handlers: Handlers | None = None
        self._spin_ns = SPIN_NS if spin else 0
        self._waiting: dict[int, tuple[Call, Steps]] = {}
        self._handovers: list[tuple[Call, NewFd]] = []
        self._tick: Callable[[], None] | None = None
        self._tick_ns = self._next_tick_ns = 0
        self._workers: Workers | None = None
        self._come_back = False

    def load(self) -> Handlers:
        """Import the handlers, at the first call or when there is time."""
        if self._handlers is None:
            self._handlers = self._load_handlers()
        return self._handlers

    def do(self, job: Job, ended: Callable[[int], None]) -> None:
        """Have a worker do a job, then call ended with its result, or -errno."""
        if self._workers is None:
            from exo_um.kernel.workers import Workers

            self._workers = Workers(self._port)
        self._workers.do(job, ended)

    def come_back(self) -> None:
        """Have on_signals called again when the calls that are posted now have been served."""
        self._come_back = True

    def settle(self) -> None:
        """Go on with what waited for jobs that have ended."""
        if self._workers is not None:
            self._workers.settle()

    def close(self) -> None:
        """End the workers, if there are any."""
        if self._workers is not None:
            self._workers.close()

    def every(self, interval_ns: int, tick: Callable[[], None]) -> None:
        """Have tick called every so often while run() serves."""
        self._tick, self._tick_ns = tick, interval_ns

    def _tick_if_due(self, timeout_ns: int) -> int:
        """Call tick if it is time; return the timeout, made shorter if need be."""
        if self._tick is None:
            return timeout_ns
        left_ns = self._next_tick_ns - time.monotonic_ns()
        if left_ns <= 0:
            self._tick()
            left_ns = self._tick_ns
            self._next_tick_ns = time.monotonic_ns() + left_ns
        return left_ns if timeout_ns < 0 else min(timeout_ns, left_ns)

    def _timeout(self, timeout_ns: int) -> int:
        return self._tick_if_due(HANDOVER_TIMEOUT_NS if self._handovers else timeout_ns)

    def run(
        self, on_signals: Callable[[], bool], on_control: Callable[[], None], idle_ns: int
    ) -> None:
        """Serve until on_signals, called for pending signals, says that the instance is over.

        on_control is called when somebody wants something from the instance. The handlers are
        loaded when nothing has happened for idle_ns nanoseconds.
        """
        served = 0
        timeout_ns = idle_ns
        while True:
            again, self._come_back = self._come_back, False
            wake = self._port.wait(
                self._spin_ns if served and not again else 0,
                0 if again else self._timeout(timeout_ns),
                bool(self._handovers),
            )
            slots = self._port.take()
            for slot in slots:
                self.serve(slot)
            if wake & lib.EXO_WAKE_JOBS:
                self.settle()
            self.hand_over()
            served = served + 1 if slots else 0
            if not wake and not again:
                self.load()
            timeout_ns = -1 if self._handlers is not None else idle_ns
            if wake & lib.EXO_WAKE_CONTROL:
                on_control()
            left_behind = self._instance.region.kr.left_behind  # by one killed at work
            if (
                again
                or wake & lib.EXO_WAKE_SIGNALS
                or left_behind
                or served > CALLS_BETWEEN_SIGNALS
            ):
                served = min(served, 1)
                if on_signals():
                    return
                self.forget_dead()

    def serve(self, slot: int) -> None:
        """Begin the call posted in a slot, or go on with the one that waits for its host call."""
        state = self._instance.region.kr.frames[slot].state & ~lib.EXO_FRAME_WAITING
        call, steps = self._waiting.pop(slot, (None, None))
        if state == lib.EXO_FRAME_HOSTDONE and call and steps:
            self._step(call, steps, call.host_result())
            return
        if steps:
            steps.close()  # its caller was killed, the slot is another's now
        if state == lib.EXO_FRAME_POSTED:
            self._begin(Call(self._instance, slot))

    def forget_dead(self) -> None:
        """Let go of what was kept for callers that were killed: half-done calls, a sent fd."""
        self._port.channel_idle()
        dead = [slot for slot, (call, _) in self._waiting.items() if not call.is_awaited()]
        for slot in dead:
            self._waiting.pop(slot)[1].close()

    def _begin(self, call: Call) -> None:
        handler = self.load().get(call.nr)
        if handler is None:
            self._finish(call, -errno.ENOSYS)
            return
        try:
            answer = handler(call)
        except Exception as error:  # noqa: BLE001 - see _errno
            self._finish(call, self._errno(call, error))
            return
        if isinstance(answer, (int, NewFd, Pass)):
            self._finish(call, answer)
        else:
            self._step(call, answer, None)

    def _step(self, call: Call, steps: Steps, result: int | None) -> None:
        try:
            asked = next(steps) if result is None else steps.send(result)
        except StopIteration as stop:
            self._finish(call, stop.value)
        except Exception as error:  # noqa: BLE001 - see _errno
            self._finish(call, self._errno(call, error))
        else:
            if isinstance(asked, HostCall):
                self._ask(call, steps, asked)
            else:
                self._work(call, steps, asked)

    def _work(self, call: Call, steps: Steps, work: Work) -> None:
        job = work.job

        def ended(result: int) -> None:
            if call.is_awaited():
                self._step(call, steps, result)
            else:
                steps.close()
                job.discard(result)

        if work.long:
            self.do(job, ended)
        else:
            self._step(call, steps, job.do())

    def _ask(self, call: Call, steps: Steps, host_call: HostCall) -> None:
        call.write_host_call(host_call)
        self._waiting[call.slot] = call, steps
        self._port.ask(call.slot, call.sequence)

    def _errno(self, call: Call, error: Exception) -> int:
        """Return -errno; a handler's bug fails its call with EIO and leaves the others alone."""
        if isinstance(error, OSError) and error.errno:
            return -error.errno
        import traceback

        text = "".join(traceback.format_exception(error))
        os.write(2, f"exo-um: handler of call {call.nr} failed\n{text}".encode())
        return -errno.EIO

    def _finish(self, call: Call, answer: Answer) -> None:
        if isinstance(answer, NewFd):
            self._handovers.append((call, answer))
        elif isinstance(answer, Pass):
            flags = lib.EXO_REPLY_PASS | lib.EXO_REPLY_PATH if call.write_path(answer.path) else 0
            self._port.reply(call.slot, call.sequence, 0 if flags else -errno.ENAMETOOLONG, flags)
        else:
            self._port.reply(call.slot, call.sequence, answer, 0)

    def hand_over(self) -> None:
        """Send the next fd of the queue when the one before was taken."""
        while self._handovers and self._port.channel_idle():
            call, new = self._handovers.pop(0)
            try:
                self._port.send(new.fd, call.slot, call.tid, call.sequence)
            except OSError as error:
                self._port.reply(call.slot, call.sequence, -(error.errno or errno.EIO), 0)
            else:
                self._port.reply(call.slot, call.sequence, 0, new.flags)
            finally:
                os.close(new.fd)
