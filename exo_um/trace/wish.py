"""What is to be traced and shown, and what of it an instance's kernel process is asked for."""

from __future__ import annotations

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from exo_um.trace.dump import Fds
    from exo_um.trace.tamper import Tampering


ENDLESS = (1 << 31) - 2
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")
QUIET = ("attach", "exit", "path-resolution", "personality", "superseded", "thread-execve")
QUIET_TWICE = ("attach", "exit", "personality")  # -qq


class Wishes:
    """What is to be traced and shown; calls, signals and statuses None: all."""

    __slots__ = (
        "abbreviated", "calls", "counts", "only_paths", "paths", "quiet", "raw", "read", "signals",
        "stack", "statuses", "summary_only", "tamperings", "with_pointer", "write",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls: frozenset[int] | None = None
        self.signals: frozenset[int] | None = None
        self.statuses: frozenset[str] | None = None
        self.abbreviated: frozenset[int] | None = None
        self.raw: frozenset[int] = frozenset()
        self.tamperings: list[Tampering] = []
        self.read: Fds = (False, frozenset())  # -e read=, write=
        self.write: Fds = (False, frozenset())
        self.counts = False  # -c or -C
        self.summary_only = False
        self.paths = 0  # -y, -yy
        self.only_paths: dict[str, str] = {}  # -P
        self.stack = False  # -k
        self.with_pointer = False  # -i
        self.quiet: frozenset[str] = frozenset()

    @property
    def dumps(self) -> bool:
        """Whether what is read or written is to be shown whole."""
        nothing: Fds = (False, frozenset())
        return self.read != nothing or self.write != nothing

    @property
    def needs_fds(self) -> bool:
        """Whether what descriptors lead to matters."""
        return bool(self.paths or self.only_paths)


def take(wishes: Wishes, expression: str) -> None:
    """Take one -e. Errors: ExpressionError."""
    from exo_um.trace.select import calls_of, signals_of

    key, equals, value = expression.partition("=")
    if not equals or key not in TAKERS:
        key, value = "trace", expression
    if TAKERS[key] in ("calls", "raw", "abbreviated"):
        setattr(wishes, TAKERS[key], calls_of(value))
    elif TAKERS[key] == "signals":
        wishes.signals = signals_of(value)
    elif TAKERS[key] == "tamperings":
        from exo_um.trace.tamper import tampering_of

        wishes.tamperings.append(tampering_of(value, key == "fault"))
    elif TAKERS[key] in ("read", "write"):
        setattr(wishes, TAKERS[key], fds_of(value))
    elif TAKERS[key] == "statuses":
        wishes.statuses = words_of(value, STATUSES, "status")
    elif TAKERS[key] == "quiet":
        wishes.quiet |= words_of(value, QUIET, "quiet")
    else:
        take_absent(wishes, key, value)


TAKERS = {
    "trace": "calls", "t": "calls", "signal": "signals", "signals": "signals", "s": "signals",
    "inject": "tamperings", "fault": "tamperings", "status": "statuses", "quiet": "quiet",
    "silent": "quiet", "silence": "quiet", "q": "quiet", "raw": "raw", "x": "raw",
    "abbrev": "abbreviated", "a": "abbreviated", "read": "read", "reads": "read", "r": "read",
    "write": "write", "writes": "write", "w": "write", "verbose": "absent", "v": "absent",
    "kvm": "absent", "decode-fds": "absent", "decode-fd": "absent", "decode-pids": "absent",
}  # fmt: skip


def take_absent(wishes: Wishes, key: str, value: str) -> None:
    """Take what is there in part. Errors: ExpressionError, the rest."""
    from exo_um.trace.select import ExpressionError

    if key in ("verbose", "v") and value == "all":
        return
    if key in ("decode-fds", "decode-fd") and value in ("all", "path", "none"):
        wishes.paths = {"all": 2, "path": 1, "none": 0}[value]
        return
    raise ExpressionError(f"-e {key}={value} is not supported")


def words_of(text: str, known: tuple[str, ...], what: str) -> frozenset[str]:
    """Return the words that an expression names. Errors: ExpressionError."""
    from exo_um.trace.select import ExpressionError

    chosen: set[str] = set()
    for word in text.removeprefix("!").split(","):
        if word == "all":
            chosen |= set(known)
        elif word not in ("none", *known):
            raise ExpressionError(f"invalid {what} '{word}'")
        chosen.add(word)
    chosen &= set(known)
    return frozenset(set(known) - chosen if text.startswith("!") else chosen)


def fds_of(text: str) -> Fds:
    """Return the descriptors that an expression names. Errors: ExpressionError."""
    from exo_um.trace.select import ExpressionError

    inverted, words = text.startswith("!"), text.removeprefix("!").split(",")
    if words in (["all"], ["none"]):
        return (words == ["all"]) != inverted, frozenset()
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise ExpressionError(f"invalid descriptor '{word}'")
    return inverted, frozenset(map(int, words))


def wish_of(wishes: Wishes, follow: bool, string_limit: int, verbose: bool) -> dict[str, Any]:
    """Return the wish: calls by number, None: all; flags, strings' limit, what is done to calls."""
    events = not wishes.summary_only
    flags = (
        (lib.EXO_RECORDING_EVENTS if events else 0)
        | (lib.EXO_RECORDING_TALLIES if wishes.counts else 0)
        | (lib.EXO_RECORDING_FOLLOWS if follow else 0)
        | (lib.EXO_RECORDING_STACKS if wishes.stack else 0)
        | (lib.EXO_RECORDING_FDS if wishes.needs_fds else 0)
        | (lib.EXO_RECORDING_WHOLE if verbose or wishes.dumps else 0)
        | (lib.EXO_RECORDING_ORIGINS if wishes.with_pointer else 0)
    )
    calls = None
    if wishes.calls is not None:
        tampered = {nr for change in wishes.tamperings for nr in change.calls}
        calls = sorted(wishes.calls | (always() if events else set()) | tampered)
    return {
        "flags": flags,
        "string_limit": ENDLESS if wishes.dumps else string_limit,
        "calls": calls,
        "tamper": [
            change._asdict() | {"calls": sorted(change.calls)} for change in wishes.tamperings
        ],
    }


def always() -> set[int]:
    """Return the calls that are told whatever is shown: a program's life."""
    from posix_x.table.rows import NAMES

    life = ("execve", "execveat", "exit", "exit_group")
    return {nr for nr, name in enumerate(NAMES) if name in life}
