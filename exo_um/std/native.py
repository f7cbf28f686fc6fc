"""Native exo tasks: C functions and numba's @cfunc as fibers on switched stacks."""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol, runtime_checkable

from exo_um.bindings.fiber import FOREVER, FiberHandle, FiberWorkers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_workers: FiberWorkers | None = None
_lock = threading.Lock()


@runtime_checkable
class Native(Protocol):
    """Code that is called by its address: what numba.cfunc("int64(int64)") makes, or Function."""

    @property
    def address(self) -> int:
        """Where it is."""


class Function:
    """A C function int64_t(int64_t) at an address, which its library keeps loaded."""

    __slots__ = ("address",)

    def __init__(self, address: int) -> None:
        self.address = address


def is_native(function: Any) -> bool:
    """Whether spawn() runs it as a fiber."""
    return isinstance(getattr(function, "address", None), int)


def fiber_workers() -> FiberWorkers:
    """Return the worker threads of this process, which live as long as it does."""
    global _workers  # noqa: PLW0603 - one for the process
    with _lock:
        if _workers is None or not _workers.is_ours():
            _workers = FiberWorkers()
        return _workers


def settle(future: Any) -> None:
    """Let who awaits a future go on, unless it has been cancelled."""
    if not future.done():
        future.set_result(None)


# Fibers that go on though nobody has their object: they need the code, and tell the eventfd.
_lingering: list[tuple[FiberHandle, Native, int]] = []


def _let_go() -> None:
    """Let go of what has ended meanwhile."""
    for one in [one for one in _lingering if one[0].done()]:
        _lingering.remove(one)
        os.close(one[2])


class Fiber:
    """A native task. Awaitable; its result is the int64 that the function returned.

    It cannot be cancelled: native code is not interrupted.
    """

    def __init__(self, handle: FiberHandle, function: Native, ended: int) -> None:
        self._handle = handle
        self._function = function  # numba frees its code with it
        self._ended = ended

    @classmethod
    def start(cls, function: Native, argument: int = 0) -> Fiber:
        """Start it. Errors: ENOMEM, no stack."""
        _let_go()
        ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            handle = fiber_workers().start(function.address, argument, ended)
        except BaseException:
            os.close(ended)
            raise
        return cls(handle, function, ended)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._handle.done()

    def join(self, timeout: float | None = None) -> int:
        """Wait for its end; return its result. timeout: seconds. Errors: TimeoutError."""
        self._handle.join(FOREVER if timeout is None else round(timeout * 1e9))
        return self._handle.result()

    def __await__(self) -> Generator[Any, None, int]:
        return self._wait().__await__()

    async def _wait(self) -> int:
        import asyncio

        if not self.done:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            loop.add_reader(self._ended, settle, future)
            try:
                await future
            finally:
                loop.remove_reader(self._ended)
        return self.join()

    def __del__(self) -> None:
        if self._handle.done():
            os.close(self._ended)
        else:
            _lingering.append((self._handle, self._function, self._ended))
