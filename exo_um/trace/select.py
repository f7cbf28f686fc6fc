"""Which calls are traced or tampered with: strace's -e expressions."""

from __future__ import annotations

import errno
import re
from signal import Signals
from typing import NamedTuple

from posix_x.table.rows import ROWS

NETWORK = ("socket",)
CLASSES = {  # by the families of syscalls.toml, as far as these are strace's classes
    "network": ("socket",),
    "ipc": ("ipc",),
    "signal": ("signal",),
    "memory": ("memory",),
}
CREDS = re.compile(r"cap[gs]et|(get|set)(e|re|res|fs)?[ug]id|[gs]etgroups|prctl")
CLOCK = re.compile(r".*clock.*|adjtimex|(get|set)timeofday|time")
PROCESS = re.compile(
    r"clone3?|execve(at)?|exit(_group)?|fork|vfork|wait(4|id|pid)|kill|tkill|tgkill|unshare|setns"
    r"|rt_(tg)?sigqueueinfo|pidfd_(open|send_signal|getfd)|process_(mrelease|madvise)|arch_prctl"
)
STATS = {
    "stat": ("stat",), "lstat": ("lstat",), "fstat": ("fstat", "fstatat64", "newfstatat"),
    "statfs": ("statfs",), "fstatfs": ("fstatfs",),
    "%stat": ("stat",), "%lstat": ("lstat",), "%fstat": ("fstat", "newfstatat", "statx"),
    "%%stat": ("stat", "lstat", "fstat", "newfstatat", "statx"),
    "%statfs": ("statfs",), "%fstatfs": ("fstatfs",), "%%statfs": ("statfs", "fstatfs", "ustat"),
}  # fmt: skip
SIGNAL_LIMIT = 64


class ExpressionError(Exception):
    """An -e expression that says nothing; the text tells why."""


def _is_of(name: str) -> set[str]:
    _, _, family, args, ret = ROWS[_NUMBERS[name]]
    kinds = {arg[1] for arg in args}
    found = {key for key, families in CLASSES.items() if family in families}
    if "path" in kinds:
        found.add("file")
    if kinds & {"fd", "dirfd"} or ret == "fd":
        found.add("desc")
    if name == "mmap":
        found.add("memory")
    if PROCESS.fullmatch(name):
        found.add("process")
    if CREDS.fullmatch(name):
        found.add("creds")
    if CLOCK.fullmatch(name):
        found.add("clock")
    if not args and family in ("process", "cred"):
        found.add("pure")
    return found


_NUMBERS = {row[0]: nr for nr, row in ROWS.items()}


def calls_of(text: str) -> frozenset[int]:
    """Return the numbers of the calls that an expression names. Errors: ExpressionError."""
    inverted = text.startswith("!")
    chosen: set[int] = set()
    for word in text.removeprefix("!").split(","):
        chosen |= _word(word)
    return frozenset(ROWS.keys() - chosen if inverted else chosen)


def _word(word: str) -> set[int]:
    optional, word = word.startswith("?"), word.removeprefix("?")
    if word == "all":
        return set(ROWS)
    if word == "none":
        return set()
    if word in STATS and word.startswith("%"):
        return {_NUMBERS[name] for name in STATS[word] if name in _NUMBERS}
    if word.startswith("%") or word in (
        "file",
        "process",
        "network",
        "net",
        "signal",
        "ipc",
        "desc",
        "memory",
    ):
        name = {"net": "network"}.get(word.removeprefix("%"), word.removeprefix("%"))
        found = {nr for nr, row in ROWS.items() if name in _is_of(row[0])}
        if not found:
            raise ExpressionError(f"invalid system call '{word}'")
        return found
    if word.startswith("/"):
        try:
            return {nr for nr, row in ROWS.items() if re.search(word[1:], row[0])}
        except re.error as error:
            raise ExpressionError(f"invalid regular expression '{word[1:]}': {error}") from error
    if word.isdigit() and int(word) in ROWS:
        return {int(word)}
    if word in _NUMBERS:
        return {_NUMBERS[word]}
    if optional:
        return set()
    raise ExpressionError(f"invalid system call '{word}'")


def signals_of(text: str) -> frozenset[int]:
    """Return the signals that an expression names. Errors: ExpressionError."""
    inverted = text.startswith("!")
    every = frozenset(range(1, SIGNAL_LIMIT + 1))
    chosen: set[int] = set()
    for word in text.removeprefix("!").split(","):
        if word == "all":
            chosen |= every
        elif word != "none":
            chosen.add(signal_of(word))
    return every - chosen if inverted else frozenset(chosen)


def signal_of(word: str) -> int:
    """Return a signal by name or number. Errors: ExpressionError."""
    if word.isdigit() and 0 < int(word) <= SIGNAL_LIMIT:
        return int(word)
    name = word.upper() if word.upper().startswith("SIG") else f"SIG{word.upper()}"
    try:
        return int(Signals[name])
    except KeyError:
        raise ExpressionError(f"invalid signal '{word}'") from None


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


_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def _duration_ns(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|ms|us|ns)?", text)
    if not match:
        raise ExpressionError(f"invalid delay '{text}'")
    return int(match[1]) * _UNITS[match[2] or "us"]


def _when(text: str) -> dict[str, int]:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?(?:(\+)(\d*))?", text)
    if not match or int(match[1]) == 0:
        raise ExpressionError(f"invalid when= '{text}'")
    step = int(match[4] or 1) if match[3] else (1 if match[2] else 0)
    if match[3] and not match[4]:
        step = 1
    return {"first": int(match[1]), "last": int(match[2] or 0), "step": step}


def tampering_of(text: str, fault: bool = False) -> Tampering:
    """Return what inject= or, with fault, fault= says. Errors: ExpressionError."""
    names, *actions = text.split(":")
    found: dict[str, int | None] = {"result": -errno.ENOSYS} if fault else {}
    for action in actions:
        key, equals, value = action.partition("=")
        if not equals:
            raise ExpressionError(f"invalid argument '{text}'")
        if key == "error":
            number = int(value) if value.isdigit() else getattr(errno, value, 0)
            if not 0 < number < 4096:
                raise ExpressionError(f"invalid error '{value}'")
            found["result"] = -number
        elif key == "retval":
            try:
                found["result"] = int(value, 0)
            except ValueError:
                raise ExpressionError(f"invalid retval '{value}'") from None
        elif key == "signal":
            found["signal"] = signal_of(value)
        elif key in ("delay_enter", "delay_exit"):
            found[f"{key}_ns"] = _duration_ns(value)
        elif key == "when":
            found |= _when(value)
        else:
            raise ExpressionError(f"invalid action '{action}'")
    if not found.keys() & {"result", "signal", "delay_enter_ns", "delay_exit_ns"}:
        raise ExpressionError(f"inject={text}: no action")
    return Tampering(calls_of(names), **found)  # type: ignore[arg-type]
