"""The table of -c and -C: how often, how long, how many errors, by call."""

from __future__ import annotations

from posix_x.table.rows import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RULE = "------ ----------- ----------- --------- --------- ----------------"


class Tally:
    """Of one call: nanoseconds, calls, errors."""

    __slots__ = ("calls", "errors", "spent_ns")

    def __init__(self, spent_ns: int = 0, calls: int = 0, errors: int = 0) -> None:
        self.spent_ns = spent_ns
        self.calls = calls
        self.errors = errors


class Summary:
    """Of all calls, by number; sort: traceopts.SORTS."""

    __slots__ = ("sort", "tallies")

    def __init__(self, sort: str = "time") -> None:
        self.sort = sort
        self.tallies: dict[int, Tally] = {}

    def add(self, nr: int, spent_ns: int, failed: bool, calls: int = 1, errors: int = 0) -> None:
        """Count a call, or several."""
        tally = self.tallies.setdefault(nr, Tally())
        tally.spent_ns += spent_ns
        tally.calls += calls
        tally.errors += errors or failed

    def _rows(self) -> list[tuple[str, Tally]]:
        rows = [
            (ROWS[nr][0] if nr in ROWS else f"syscall_{nr:#x}", t) for nr, t in self.tallies.items()
        ]
        keys: dict[str, Callable[[tuple[str, Tally]], Any]] = {
            "calls": lambda row: (-row[1].calls, row[0]),
            "errors": lambda row: (-row[1].errors, row[0]),
            "name": lambda row: (row[0],),
            "avg-time": lambda row: (-row[1].spent_ns / row[1].calls, row[0]),
        }
        aliases = {"count": "calls", "syscall": "name"}
        key = keys.get(aliases.get(self.sort, self.sort), lambda row: (-row[1].spent_ns, row[0]))
        return rows if self.sort in ("nothing", "none") else sorted(rows, key=key)

    def text(self) -> str:
        """Return the table."""
        rows = self._rows()
        whole = sum(tally.spent_ns for _, tally in rows)
        total = Tally(whole, sum(t.calls for _, t in rows), sum(t.errors for _, t in rows))
        head = "% time     seconds  usecs/call     calls    errors syscall\n"
        body = "".join(_row(name, tally, whole) for name, tally in rows)
        return f"{head}{RULE}\n{body}{RULE}\n{_row('total', total, whole)}"


def _row(name: str, tally: Tally, whole: int) -> str:
    part = 100 * tally.spent_ns / whole if whole else 0.0
    each = tally.spent_ns // 1000 // tally.calls if tally.calls else 0
    errors = str(tally.errors or "")
    return (
        f"{part:6.2f} {tally.spent_ns / 1e9:11.6f} {each:11} {tally.calls:9} {errors:>9} {name}\n"
    )
