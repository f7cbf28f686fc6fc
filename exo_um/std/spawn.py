"""spawn(): runs a Python function, a coroutine, or native code as a task on a worker per CPU."""

from __future__ import annotations

import atexit
from typing import Any, ParamSpec, TypeVar, overload

from exo_um.std.native import Fiber, Native, is_native
from exo_um.std.workers import Task, Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R")
_workers: Workers | None = None


def workers() -> Workers:
    """Return the worker processes that spawn() uses; they end with this process."""
    global _workers  # noqa: PLW0603 - one for the program
    if _workers is None or not _workers.is_ours():
        _workers = Workers()
        atexit.register(_workers.close)
    return _workers


@overload
def spawn(
    function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **names: P.kwargs
) -> Task[R]: ...
@overload
def spawn(function: Native, argument: int = 0, /) -> Fiber: ...
@overload
def spawn(function: Callable[P, R], *args: P.args, **names: P.kwargs) -> Task[R]: ...
def spawn(function: Any, *args: Any, **names: Any) -> Any:
    """Run a function on a worker, and return its task, to be joined or awaited.

    A function or coroutine function runs in a worker process (exo_um.std.workers), which finds it
    by its module and name; arguments and result are plain values, arrays, dataclasses, channels and
    files (exo_um.std.values). Native code, a numba @cfunc or a C function pointer of int64 (int64),
    runs as a fiber on a worker thread of this process, with one argument.
    Errors: TypeError, the function cannot be found by its name, or an argument cannot travel.
    """
    if is_native(function):
        return Fiber.start(function, *args, **names)
    return workers().spawn(function, *args, **names)
