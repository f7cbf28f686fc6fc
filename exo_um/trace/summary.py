"""The table of -c and -C: how often, how long, how many errors, by call."""

from __future__ import annotations

from posix_x.table.rows import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

COLUMNS = {  # widths and titles
    "time-percent": (6, "% time"), "total-time": (11, "seconds"), "avg-time": (11, "usecs/call"),
    "calls": (9, "calls"), "errors": (9, "errors"), "name": (16, "syscall"),
}  # fmt: skip


class Tally:
    """Of one call: nanoseconds, calls, errors."""

    __slots__ = ("calls", "errors", "spent_ns")

    def __init__(self, spent_ns: int = 0, calls: int = 0, errors: int = 0) -> None:
        self.spent_ns = spent_ns
        self.calls = calls
        self.errors = errors


class Summary:
    """Of all calls, by number; sort: traceopts.SORTS; columns: of COLUMNS, in any order."""

    __slots__ = ("columns", "sort", "tallies")

    def __init__(self, sort: str = "time", columns: list[str] | None = None) -> None:
        self.sort = sort
        self.columns = [name for name in columns or COLUMNS if name != "name"] + ["name"]
        if columns is not None and "name" in columns:
            self.columns = columns
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
        aliases = {"count": "calls", "syscall": "name", "syscall-name": "name", "error": "errors"}
        key = keys.get(aliases.get(self.sort, self.sort), lambda row: (-row[1].spent_ns, row[0]))
        return rows if self.sort in ("nothing", "none") else sorted(rows, key=key)

    def text(self) -> str:
        """Return the table."""
        rows = self._rows()
        whole = sum(tally.spent_ns for _, tally in rows)
        total = Tally(whole, sum(t.calls for _, t in rows), sum(t.errors for _, t in rows))
        rule = self._line({name: "-" * width for name, (width, _) in COLUMNS.items()})
        head = self._line({name: title for name, (_, title) in COLUMNS.items()})
        body = "".join(self._line(cells(name, tally, whole)) for name, tally in rows)
        return f"{head}{rule}{body}{rule}{self._line(cells('total', total, whole))}"

    def _line(self, texts: dict[str, str]) -> str:
        parts = []
        for name in self.columns:
            width = COLUMNS[name][0]
            last = name == "name" and name == self.columns[-1]
            left = name == "name" or texts[name] == COLUMNS[name][1] == "% time"
            shown = texts[name].ljust(width) if left else texts[name].rjust(width)
            parts.append(texts[name] if last else shown)
        return " ".join(parts) + "\n"


def cells(name: str, tally: Tally, whole: int) -> dict[str, str]:
    """Return what each column has of a call; whole: nanoseconds of all."""
    part = 100 * tally.spent_ns / whole if whole else 0.0
    return {
        "time-percent": f"{part:.2f}",
        "total-time": f"{tally.spent_ns / 1e9:.6f}",
        "avg-time": str(tally.spent_ns // 1000 // tally.calls if tally.calls else 0),
        "calls": str(tally.calls),
        "errors": str(tally.errors or ""),
        "name": name,
    }
