"""Exceptions that come from workers, and how an exception travels."""

from __future__ import annotations

import contextlib
import sys
import traceback
from concurrent.futures import CancelledError
from typing import Any

from exo_um.std.values import Writer


class WorkerDiedError(ChildProcessError):
    """The process that ran the task has ended without having finished it."""


class RemoteError(RuntimeError):
    """A task raised what this process does not know, or what cannot travel; the text says what."""


def describe(error: BaseException) -> list[Any]:
    """Return an exception's class, arguments and traceback, as values that travel."""
    text = "".join(traceback.format_exception(error))
    kind = type(error)
    arguments: tuple[Any, ...] | None = error.args
    try:
        Writer().add(arguments)
    except (TypeError, ValueError):
        arguments = None
    return [f"{kind.__module__}:{kind.__qualname__}", arguments, str(error), text]


def rebuild(about: list[Any]) -> BaseException:
    """Return the exception. Only classes of modules that are here already are looked up."""
    name, arguments, text, where = about
    module, _, path = name.partition(":")
    if path == "CancelledError":
        return CancelledError()
    kind = getattr(sys.modules.get(module), path, None)
    error: BaseException = RemoteError(f"{path}: {text}")
    if isinstance(kind, type) and issubclass(kind, Exception) and arguments is not None:
        with contextlib.suppress(TypeError):
            error = kind(*arguments)
    error.add_note("In a worker:\n" + where.rstrip())
    return error
