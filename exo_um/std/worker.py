"""A worker process of exo_um.std.spawn: `python -m exo_um.std.worker FD CPU`, pinned to a CPU.

Coroutines run in its event loop, functions in a thread each: whatever one waits for, the others go
on. It ends with the socket to its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import runpy
import socket
import sys
import threading
import types
from concurrent.futures import CancelledError
from typing import Any

from exo_um.bindings._port import interrupt
from exo_um.std import errors, wire
from exo_um.std.values import MAIN_HERE, Reader, Writer

START, CANCEL = 1, 2


class Worker:
    """What this process runs, by the numbers that its parent has given."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._threads: dict[int, int] = {}
        self._main: dict[str, Any] | None = None
        self._loop = asyncio.new_event_loop()

    def prepare(self) -> None:
        """Take over the parent's module path, and know where its main program is."""
        data, fds = wire.receive(self._sock)
        path, self._main_path = Reader(data, fds).next()
        sys.path[:] = path

    def _names_of_main(self) -> dict[str, Any]:
        """Run the parent's main program, under another name than __main__, at the first need."""
        if self._main is None and self._main_path is not None:
            module = types.ModuleType(MAIN_HERE)
            sys.modules[MAIN_HERE] = module  # annotations are looked up in it
            vars(module).update(runpy.run_path(self._main_path, run_name=MAIN_HERE))
            self._main = vars(module)
        return self._main or {}

    def run(self) -> None:
        """Serve until the parent is gone."""
        self._loop.add_reader(self._sock, self._readable)
        try:
            self._loop.run_forever()
        finally:
            self._loop.remove_reader(self._sock)
            self._loop.run_until_complete(self._end_all())

    async def _end_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _readable(self) -> None:
        try:
            data, fds = wire.receive(self._sock)
        except (EOFError, OSError):
            self._loop.stop()
            return
        what, number = data[0], int.from_bytes(data[1:9], "little")
        if what == CANCEL:
            self._cancel(number)
            return
        try:
            main = self._names_of_main() if b"__main__:" in data else None
            function, arguments, names = Reader(data[9:], fds, main).next()
        except Exception as error:  # noqa: BLE001 - whatever it was, the parent is told
            self._end(number, None, error)
            return
        if inspect.iscoroutinefunction(function):
            self._tasks[number] = self._loop.create_task(
                self._coroutine(number, function, arguments, names)
            )
        else:
            thread = threading.Thread(  # noqa: TID251 - a function may block
                target=self._function, args=(number, function, arguments, names), daemon=True
            )
            thread.start()

    async def _coroutine(self, number: int, function: Any, arguments: Any, names: Any) -> None:
        try:
            result = await function(*arguments, **names)
        except BaseException as error:  # noqa: BLE001
            self._end(number, None, error)
        else:
            self._end(number, result, None)
        finally:
            self._tasks.pop(number, None)

    def _function(self, number: int, function: Any, arguments: Any, names: Any) -> None:
        error: BaseException | None = None
        result = None
        try:
            with self._lock:
                self._threads[number] = threading.get_ident()
            try:
                result = function(*arguments, **names)
            finally:
                with self._lock:
                    self._threads.pop(number, None)
        except BaseException as raised:  # noqa: BLE001
            error = raised
        del function, arguments, names
        self._end(number, result, error)
        del error  # and its frames, which have channels

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()
            return
        with self._lock:
            thread = self._threads.get(number)
            if thread is not None:
                interrupt(thread, CancelledError)

    def _end(self, number: int, result: Any, error: BaseException | None) -> None:
        """Tell the parent what came of a task."""
        writer = Writer()
        try:
            writer.add([number, error is None, result if error is None else errors.describe(error)])
        except (TypeError, ValueError) as unfit:
            writer = Writer()
            writer.add([number, False, errors.describe(unfit)])
        with self._lock, contextlib.suppress(OSError):  # the parent is gone: the loop sees it, too
            wire.send(self._sock, writer.data, writer.fds)


def main() -> None:
    """Be a worker."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.sched_setaffinity(0, {int(sys.argv[2])})
    worker = Worker(sock)
    try:
        worker.prepare()
    except EOFError:
        return
    worker.run()


if __name__ == "__main__":
    main()
