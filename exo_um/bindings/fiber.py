"""Fibers, exo's tasks of native code, on pinned worker threads of this process (exo/fiber.h)."""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOREVER: int = lib.EXO_FOREVER


class FiberWorkers:
    """Worker threads, one pinned to each CPU that this process may run on."""

    __slots__ = ("_pid", "_workers")

    def __init__(self) -> None:
        made = ffi.new("struct exo_workers **")
        options = ffi.new("struct exo_workers_options *")
        check(lib.exo_workers_create(made, options))
        self._workers: Any = made[0]
        self._pid = os.getpid()

    def is_ours(self) -> bool:
        """Whether the threads are here: a forked child has none."""
        return self._pid == os.getpid()

    def start(self, function: int, argument: int, exit_fd: int) -> FiberHandle:
        """Start int64_t function(int64_t) at an address; exit_fd: an eventfd to be told, or -1."""
        fiber = ffi.new("struct exo_fiber **")
        pointer = ffi.cast("int64_t (*)(int64_t)", function)
        check(lib.exo_workers_spawn(self._workers, pointer, argument, exit_fd, fiber))
        return FiberHandle(fiber[0])

    def stats(self) -> dict[str, int]:
        """Return struct exo_workers_stats."""
        stats = ffi.new("struct exo_workers_stats *")
        lib.exo_workers_stats(self._workers, stats)
        return {name: getattr(stats, name) for name, _ in ffi.typeof(stats[0]).fields}


class FiberHandle:
    """A fiber that somebody may ask for."""

    __slots__ = ("_fiber", "_result")

    def __init__(self, fiber: Any) -> None:
        self._fiber = fiber
        self._result: Any = ffi.new("int64_t *")

    def done(self) -> bool:
        """Whether it has ended; then result() says what it returned."""
        return self._fiber is None or lib.exo_fiber_done(self._fiber, self._result) == 1

    def result(self) -> int:
        """Return what it returned."""
        return int(self._result[0])

    def join(self, timeout_ns: int) -> None:
        """Wait for its end, others of this process go on. Errors: ETIMEDOUT."""
        if self._fiber is not None:
            check(lib.exo_fiber_join(self._fiber, timeout_ns, self._result))
            self._fiber = None

    def __del__(self) -> None:
        if self._fiber is not None:
            lib.exo_fiber_release(self._fiber)


def address(name: str) -> int:
    """Return the address of a C function that fibers call: "exo_fiber_pop"."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))
