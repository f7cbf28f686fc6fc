"""What -e inject= and -e fault= do to calls, and to which."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from exo_um.trace.select import ExpressionError, calls_of, signal_of

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
ABSENT = ("syscall", "poke_enter", "poke_exit")


class Tampering(NamedTuple):
    """What -e inject= or fault= does to calls: which ones, and from which on.

    result: what the call returns instead of being made, or None; signal: 0 none; delays in
    nanoseconds; first, last and step count a task's calls of the set from 1; last 0 is no end.
    """

    calls: frozenset[int]
    result: int | None = None
    signal: int = 0
    delay_enter_ns: int = 0
    delay_exit_ns: int = 0
    first: int = 1
    last: int = 0
    step: int = 1

    def hits(self, count: int) -> bool:
        """Whether a task's count-th call is meant."""
        if count < self.first or (self.last and count > self.last):
            return False
        return (count - self.first) % self.step == 0 if self.step else count == self.first

    @property
    def tail(self) -> str:
        """Return what stands behind the result."""
        delayed = self.delay_enter_ns or self.delay_exit_ns
        shown = " (INJECTED)" if self.result is not None else ""
        return shown + (" (DELAYED)" if delayed else "")


def _duration_ns(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|ms|us|ns)?", text)
    if not match:
        raise ValueError(text)
    return int(match[1]) * UNITS[match[2] or "us"]


def _when(text: str) -> dict[str, int]:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?(?:(\+)(\d*))?", text)
    if not match or int(match[1]) == 0 or match[4] == "0":
        raise ValueError(text)
    first, last = int(match[1]), int(match[2] or 0)
    if match[2] and last < first:
        raise ValueError(text)
    return {"first": first, "last": last, "step": int(match[4] or 1) if match[3] or last else 0}


def _error(text: str) -> int:
    number = int(text) if text.isdigit() else getattr(errno, text, 0)
    if not 0 < number < 4096:
        raise ExpressionError(f"invalid error '{text}'")
    return -number


def _retval(text: str) -> int:
    number = int(text, 0)
    if not 0 <= number < 1 << 63:
        raise ValueError(text)
    return number


def _action(key: str, value: str) -> dict[str, int]:
    """Return the fields that one action sets. Errors: ValueError, ExpressionError."""
    if key == "error":
        return {"result": _error(value)}
    if key == "retval":
        return {"result": _retval(value)}
    if key == "signal":
        return {"signal": signal_of(value)}
    if key in ("delay_enter", "delay_exit"):
        return {f"{key}_ns": _duration_ns(value)}
    if key == "when":
        return _when(value)
    if key in ABSENT:
        raise ExpressionError(f"inject: {key}= is not supported")
    raise ValueError(key)


def tampering_of(text: str, fault: bool = False) -> Tampering:
    """Return what inject= or, with fault, fault= says. Errors: ExpressionError."""
    names, *actions = text.split(":")
    found: dict[str, int] = {}
    try:
        for action in actions:
            key, _, value = action.partition("=")
            fields = _action(key, value)
            if fields.keys() & found.keys() or (fault and key not in ("error", "when")):
                raise ValueError(text)
            found |= fields
    except ValueError:
        word = "fault" if fault else "inject"
        raise ExpressionError(f"invalid {word} argument '{text}'") from None
    if fault:
        found.setdefault("result", -errno.ENOSYS)
    if not found.keys() & {"result", "signal", "delay_enter_ns", "delay_exit_ns"}:
        raise ExpressionError(f"invalid inject argument '{text}'")
    return Tampering(calls_of(names), **found)
