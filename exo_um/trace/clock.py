"""The processor's time stamps as time, and what runtimes have counted in them."""

from __future__ import annotations

import time

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region
    from exo_um.trace.summary import Summary


class Clock:
    """Turns time stamps into nanoseconds since the epoch."""

    def __init__(self) -> None:
        self._tsc, self._ns = lib.exo_host_tsc(), time.time_ns()
        self._rate = 0.0

    def _ns_per_cycle(self) -> float:
        tsc, now = lib.exo_host_tsc(), time.time_ns()
        if not self._rate or now - self._ns < 10**9:
            self._rate = max(now - self._ns, 1) / max(tsc - self._tsc, 1)
        return self._rate

    def ns(self, tsc: int) -> int:
        """Return a point in time."""
        return self._ns + int((tsc - self._tsc) * self._ns_per_cycle())

    def span_ns(self, cycles: int) -> int:
        """Return how long so many cycles are."""
        return int(cycles * self._ns_per_cycle())


def add_tallies(
    region: Region, clock: Clock, summary: Summary, wanted: frozenset[int] | None
) -> None:
    """Add what the runtimes have counted to a summary; wanted: None all."""
    recording = region.kr.recording
    used = [
        row for row, owner in zip(recording.tallies, recording.tally_seen, strict=True) if owner
    ]
    for nr in range(lib.EXO_CALL_COUNT):
        calls = sum(row[nr].calls for row in used)
        if calls and (wanted is None or nr in wanted):
            spent = clock.span_ns(sum(row[nr].cycles for row in used))
            summary.add(nr, spent, False, calls, sum(row[nr].errors for row in used))
