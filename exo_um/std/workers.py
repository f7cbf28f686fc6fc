"""Workers: processes that run Python functions and coroutines for this one, one on each CPU."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Generic, ParamSpec, TypeVar

from exo_um.std import errors, wire
from exo_um.std.errors import WorkerDiedError
from exo_um.std.native import settle
from exo_um.std.values import MAIN, Reader, Writer, end_tickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Self

    from exo_um.bindings.channel import ChannelMemory

P = ParamSpec("P")
R = TypeVar("R")
START, CANCEL = b"\1", b"\2"


class Task(Generic[R]):
    """What was spawned. Awaitable; its result is the function's, or what it raised is raised."""

    def __init__(self, number: int, worker: _Worker) -> None:
        self._number = number
        self._worker = worker
        self._result: Any = None
        self._error: BaseException | None = None
        self._done = False
        self._when_done: list[Callable[[], object]] = []
        self.tickets: list[tuple[ChannelMemory, int]] = []

    @property
    def done(self) -> bool:
        """Whether it has ended, as far as this process has heard."""
        if not self._done:
            self._worker.pump(0, self)
        return self._done

    def is_over(self) -> bool:
        """Whether it is known to have ended; reads nothing."""
        return self._done

    def join(self, timeout: float | None = None) -> R:
        """Wait for its end; return its result, or raise what it raised.

        timeout: seconds. Errors: TimeoutError; WorkerDiedError, its process was killed;
        CancelledError (concurrent.futures).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._done:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._worker.pump(left, self)
            if left == 0 and not self.is_over():
                raise TimeoutError(f"the task has not ended after {timeout} s")
        return self._outcome()

    def _outcome(self) -> R:
        if self._error is not None:
            raise self._error
        result: R = self._result
        return result

    def cancel(self) -> None:
        """Ask for its end: CancelledError is raised in it, also where it waits for a channel.

        A function that is inside of C for long is not reached before it comes back.
        """
        if not self._done:
            self._worker.send(CANCEL + self._number.to_bytes(8, "little"), [])

    def end(self, result: Any, error: BaseException | None) -> None:
        """Note what it came to; for the worker's messages."""
        self._result, self._error, self._done = result, error, True
        end_tickets(self.tickets)
        for call in self._when_done:
            call()
        self._when_done.clear()

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def told() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, future)

        if not self._done:
            self._when_done.append(told)
            with self._worker.read_by(loop):
                if not self.done:
                    await future
        return self._outcome()


class _Worker:
    """One worker process, seen from here."""

    def __init__(self, cpu: int) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "exo_um.std.worker", str(theirs.fileno()), str(cpu)]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self.cpu = cpu
        self._sock = ours
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._number = 0
        self._readers: dict[Any, int] = {}
        self.tasks: dict[int, Task[Any]] = {}
        self.alive = True
        writer = Writer()
        writer.add([sys.path, getattr(sys.modules.get(MAIN), "__file__", None)])
        self.send(writer.data, [])

    @property
    def pid(self) -> int:
        """The host's number of the process."""
        return self._process.pid

    def send(self, data: bytes | bytearray, fds: list[int]) -> None:
        """Send a message; that the worker is dead is noticed by who reads."""
        with self._sending, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.send(self._sock, data, fds)

    def start(self, function: Any, arguments: tuple[Any, ...], names: dict[str, Any]) -> Task[Any]:
        """Have it run a function. Errors: TypeError, the function or an argument cannot travel."""
        writer = Writer()
        try:
            writer.add((function, arguments, names))
        except BaseException:
            end_tickets(writer.tickets)
            raise
        with self._sending:
            self._number += 1
            number = self._number
            task = self.tasks[number] = Task(number, self)
        task.tickets = writer.tickets
        self.send(START + number.to_bytes(8, "little") + writer.data, writer.fds)
        return task

    def pump(self, timeout: float | None, wanted: Task[Any] | None = None) -> None:
        """Read what the worker has to say, or wait for that; one thread at a time."""
        if not self._reading.acquire(timeout=-1 if timeout is None else timeout):
            return
        try:
            if wanted is not None and wanted.is_over():  # another thread has read it
                return
            waiting = select.poll()
            waiting.register(self._sock, select.POLLIN)
            if self.alive and waiting.poll(None if timeout is None else timeout * 1000):
                self._read()
        finally:
            self._reading.release()

    def _read(self) -> None:
        try:
            data, fds = wire.receive(self._sock)
        except (EOFError, OSError):
            self._died()
            return
        main = vars(sys.modules[MAIN]) if MAIN in sys.modules else {}
        number, good, outcome = Reader(data, fds, main).next()
        task = self.tasks.pop(number, None)
        if task is not None:
            task.end(outcome, None) if good else task.end(None, errors.rebuild(outcome))

    def _died(self) -> None:
        self.alive = False
        status = self._process.wait()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        for task in list(self.tasks.values()):
            task.end(None, WorkerDiedError(f"worker {self.pid} on CPU {self.cpu} ended: {how}"))
        self.tasks.clear()

    @contextlib.contextmanager
    def read_by(self, loop: Any) -> Generator[None, None, None]:
        """Have an event loop read while somebody awaits a task there."""
        if self._readers.setdefault(loop, 0) == 0 and self.alive:
            loop.add_reader(self._sock, self.pump, 0)
        self._readers[loop] += 1
        try:
            yield
        finally:
            self._readers[loop] -= 1
            if self._readers[loop] == 0:
                del self._readers[loop]
                loop.remove_reader(self._sock)

    def close(self) -> None:
        """End the process: it sees that the socket is closed."""
        self._sock.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reading:
            self._died()
        self._sock.close()


class Workers:
    """One worker process for each CPU, started when there is something for it to do."""

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        """cpus: by default those that this process may run on."""
        self.cpus = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
        self._workers: dict[int, _Worker] = {}
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def _worker(self, cpu: int) -> _Worker:
        worker = self._workers.get(cpu)
        if worker is None or not worker.alive:
            worker = self._workers[cpu] = _Worker(cpu)
        return worker

    def _load(self, cpu: int) -> int:
        worker = self._workers.get(cpu)
        return len(worker.tasks) if worker is not None else 0

    def spawn(self, function: Callable[P, Any], *args: P.args, **names: P.kwargs) -> Task[Any]:
        """Run a function where the fewest tasks are."""
        with self._lock:
            cpu = min(self.cpus, key=self._load)
            worker = self._worker(cpu)
        return worker.start(function, args, names)

    def spawn_on(
        self, cpu: int, function: Callable[P, Any], *args: P.args, **names: P.kwargs
    ) -> Task[Any]:
        """Run a function on a CPU. Errors: ValueError, no worker is for that one."""
        if cpu not in self.cpus:
            raise ValueError(f"no worker is for CPU {cpu}, only for {self.cpus}")
        with self._lock:
            worker = self._worker(cpu)
        return worker.start(function, args, names)

    def pids(self) -> dict[int, int]:
        """Return the processes that have been started, by CPU."""
        return {cpu: worker.pid for cpu, worker in self._workers.items() if worker.alive}

    def is_ours(self) -> bool:
        """Whether this process has made them: a forked child has not."""
        return self._pid == os.getpid()

    def close(self) -> None:
        """End all; what they have not finished raises WorkerDiedError."""
        with self._lock:
            workers = list(self._workers.values()) if self.is_ours() else []
            self._workers.clear()
        for worker in workers:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
