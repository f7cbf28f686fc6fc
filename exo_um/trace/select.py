"""Which calls and signals an expression of -e names."""

from __future__ import annotations

import re
from signal import Signals

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
