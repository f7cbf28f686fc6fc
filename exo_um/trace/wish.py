"""What is to be traced and shown, and what of it an instance's kernel process is asked for."""

from __future__ import annotations

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from exo_um.trace.select import Tampering


class Wishes:
    """What is to be traced and shown; calls and signals None: all."""

    __slots__ = (
        "calls", "counts", "only_failed", "only_ok", "paths", "quiet", "signals", "stack",
        "summary_only", "tamperings",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls: frozenset[int] | None = None
        self.signals: frozenset[int] | None = None
        self.tamperings: list[Tampering] = []
        self.counts = False  # -c or -C
        self.summary_only = False
        self.only_ok = False
        self.only_failed = False
        self.paths = False  # -y
        self.stack = False  # -k
        self.quiet = 0


def take(wishes: Wishes, expression: str) -> None:
    """Take one -e. Errors: ExpressionError."""
    from exo_um.trace.select import ExpressionError, calls_of, signals_of, tampering_of

    key, equals, value = expression.partition("=")
    if not equals:
        key, value = "trace", expression
    if key in ("trace", "t"):
        wishes.calls = calls_of(value)
    elif key in ("signal", "signals", "s"):
        wishes.signals = signals_of(value)
    elif key in ("inject", "fault"):
        wishes.tamperings.append(tampering_of(value, key == "fault"))
    elif key == "status":
        wishes.only_ok, wishes.only_failed = value == "successful", value == "failed"
        if value not in ("successful", "failed", "all"):
            raise ExpressionError(f"status={value}: not successful, failed or all")
    elif key in ("quiet", "q"):
        wishes.quiet = 2 if "exit" in value or value == "all" else 1
    else:
        raise ExpressionError(f"invalid -e argument '{expression}'")


def wish_of(wishes: Wishes, follow: bool, string_limit: int) -> dict[str, Any]:
    """Return the wish: calls by number, None: all; flags, strings' limit, what is done to calls."""
    events = not wishes.summary_only
    flags = (
        (lib.EXO_RECORDING_EVENTS if events else 0)
        | (lib.EXO_RECORDING_TALLIES if wishes.counts else 0)
        | (lib.EXO_RECORDING_FOLLOWS if follow else 0)
        | (lib.EXO_RECORDING_STACKS if wishes.stack else 0)
    )
    calls = None
    if wishes.calls is not None:
        tampered = {nr for change in wishes.tamperings for nr in change.calls}
        calls = sorted(wishes.calls | (always() if events else set()) | tampered)
    return {
        "flags": flags,
        "string_limit": string_limit,
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
