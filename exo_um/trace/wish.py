"""What is asked of an instance that is to be traced, as its kernel process takes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from posix_x.table.rows import NAMES, ROWS

from exo_um.bindings import lib

if TYPE_CHECKING:
    from exo_um.trace.sink import Wishes

# A program's life is told whatever is shown of it.
ALWAYS = tuple(
    nr for nr, name in enumerate(NAMES) if name in ("execve", "execveat", "exit", "exit_group")
)


def wish_of(wishes: Wishes, follow: bool, string_limit: int) -> dict[str, Any]:
    """Return the wish: calls by number, flags, strings' limit, what is done to calls."""
    calls = set(ROWS if wishes.calls is None else wishes.calls)
    events = not wishes.summary_only
    flags = (
        (lib.EXO_RECORDING_EVENTS if events else 0)
        | (lib.EXO_RECORDING_TALLIES if wishes.summary is not None else 0)
        | (lib.EXO_RECORDING_FOLLOWS if follow else 0)
    )
    return {
        "flags": flags,
        "string_limit": string_limit,
        "calls": sorted(calls | (set(ALWAYS) if events else set()) | tampered(wishes)),
        "tamper": [
            asdict(change) | {"calls": sorted(change.calls)} for change in wishes.tamperings
        ],
    }


def tampered(wishes: Wishes) -> set[int]:
    """Return the calls that something is done to."""
    return {nr for change in wishes.tamperings for nr in change.calls}
