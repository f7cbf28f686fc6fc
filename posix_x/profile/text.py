"""The report as text: rich at a terminal, plain elsewhere."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exo_um.cli.rows import LINE_LIMIT, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 80  # of a command line that is shown
LEFT = ("TIER", "CALL", "PLACE", "PATH", "FROM", "TO", "BY")


def render(result: dict[str, Any], top: int, like: TextIO | None = None) -> str:
    """Return the report, for the terminal that `like` may be."""
    at_terminal = like is not None and like.isatty()
    out = io.StringIO()
    width = Console(file=like).width if at_terminal else LINE_LIMIT
    console = Console(file=out, force_terminal=at_terminal, width=width, highlight=False)
    _head(console, result)
    _tiers(console, result)
    _names(console, result, top)
    _sites(console, result, top)
    _copies(console, result, top)
    _runs(console, result, top)
    _paths(console, result, top)
    _suggestions(console, result, top)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        last = name == columns[-1]
        table.add_column(
            name,
            justify="left" if name in LEFT else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if last else len(name),
        )
    for row in rows:
        table.add_row(*(Text(printable(field)) for field in row))
    console.print(table)


def milliseconds(cycles: float, result: dict[str, Any]) -> float:
    """Return cycles as milliseconds."""
    return float(cycles / result["tsc_hz"] * 1e3) if result["tsc_hz"] else 0.0


def share(part: float, whole: float) -> str:
    """Return a share in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def named(result: dict[str, Any]) -> str:
    """Return the command line, cut where it is long."""
    text = " ".join(result["program"])
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def summary(result: dict[str, Any]) -> list[str]:
    """Return the lines that the report begins with."""
    end = result["status"]
    how = f"exit status {end}" if end >= 0 else f"killed by signal {-end}"
    wall, spent = (milliseconds(result[key], result) for key in ("wall_cycles", "call_cycles"))
    lines = [
        f"{named(result)}: {how}",
        (
            f"{result['calls']:,} calls of {result['processes']} "
            f"process{'es' if result['processes'] != 1 else ''} in {wall:,.1f} ms profiled, "
            f"{spent:,.1f} ms in calls, waiting included; "
            f"cycles of {result['tsc_hz'] / 1e9:.2f} GHz"
        ),
    ]
    if result["lost_records"]:
        lines.append(f"{result['lost_records']} records were lost with tasks that were killed")
    return lines


def _head(console: Console, result: dict[str, Any]) -> None:
    for line in summary(result):
        console.print(Text(printable(line)), soft_wrap=True)


def _numbers(row: dict[str, Any]) -> list[str]:
    return [f"{row[key]:,}" for key in ("calls", "mean", "median", "p99")]


def _tiers(console: Console, result: dict[str, Any]) -> None:
    _title(console, "Calls by tier")
    rows = [
        [
            row["tier"],
            *_numbers(row),
            share(row["calls"], result["calls"]),
            share(row["cycles"], result["call_cycles"]),
            share(row["host"], row["calls"]),
        ]
        for row in result["tiers"]
    ]
    columns = ("TIER", "CALLS", "MEAN", "MEDIAN", "P99", "OF CALLS", "OF TIME", "ASK THE HOST")
    _table(console, columns, rows)


def _names(console: Console, result: dict[str, Any], top: int) -> None:
    _title(console, "Calls that took longest")
    rows = [
        [row["name"], row["tier"], *_numbers(row), f"{row['errors']:,}",
         share(row["cycles"], result["call_cycles"])]
        for row in result["names"][:top]
    ]  # fmt: skip
    columns = ("CALL", "TIER", "CALLS", "MEAN", "MEDIAN", "P99", "ERRORS", "OF TIME")
    _table(console, columns, rows)


def _sites(console: Console, result: dict[str, Any], top: int) -> None:
    _title(console, "Hot places")
    rows = [
        [share(row["cycles"], result["call_cycles"]), f"{row['calls']:,}", f"{row['mean']:,}",
         f"{row['p99']:,}", row["name"], row["place"]["text"], by(row)]
        for row in result["sites"][:top]
    ]  # fmt: skip
    _table(console, ("OF TIME", "CALLS", "MEAN", "P99", "CALL", "PLACE", "BY"), rows)


def by(row: dict[str, Any]) -> str:
    """Return the library's function that a place calls."""
    return f"{row['by']['function'] or '?'} ({row['by']['module']})" if row["by"] else ""


def _copies(console: Console, result: dict[str, Any], top: int) -> None:
    if not result["copies"]:
        return
    _title(console, "Read into a buffer and written from it: could be zero-copy")
    rows = [
        [f"{row['bytes']:,}", f"{row['reads']:,}", f"{row['writes']:,}", f"{row['largest']:,}",
         unchanged(row), f"{row['read']} {row['read_place']['text']}",
         f"{row['write']} {row['write_place']['text']}", way(row)]
        for row in result["copies"][:top]
    ]  # fmt: skip
    columns = ("BYTES", "READS", "WRITES", "LARGEST", "UNCHANGED", "FROM", "TO", "PATH")
    _table(console, columns, rows)


def unchanged(row: dict[str, Any]) -> str:
    """Return how many of the writes that could be compared began with what was read."""
    compared = row["same"] + row["changed"]
    return share(row["same"], compared) if compared else "?"


def way(row: dict[str, Any]) -> str:
    """Return what data came from and went to, the first time."""
    if not row["ways"]:
        return ""
    start, end = row["ways"][0]
    return f"{start['name']} -> {end['name']}"


def _runs(console: Console, result: dict[str, Any], top: int) -> None:
    if not result["runs"]:
        return
    _title(console, "Small writes in a row: could be batched")
    rows = [
        [f"{row['writes']:,}", f"{row['runs']:,}", f"{row['longest']:,}",
         f"{row['bytes'] / row['writes']:,.1f}", f"{row['cycles'] / row['writes']:,.0f}",
         f"{row['asked']:,}", row["name"], row["place"]["text"],
         ", ".join(thing["name"] for thing in row["to"])]
        for row in result["runs"][:top]
    ]  # fmt: skip
    columns = ("WRITES", "RUNS", "LONGEST", "BYTES EACH", "CYCLES EACH", "ASK THE HOST", "CALL",
               "PLACE", "TO")  # fmt: skip
    _table(console, columns, rows)


def _paths(console: Console, result: dict[str, Any], top: int) -> None:
    paths = result["paths"]
    if not paths["lookups"]:
        return
    _title(console, "Paths")
    rate = f"a cache would have answered {100 * paths['hit_rate']:.1f} %"
    console.print(
        f"{paths['lookups']:,} look-ups of {paths['different']:,} paths: {rate}; "
        f"{paths['failed']:,} failed",
        soft_wrap=True,
    )
    rows = [
        [f"{row['count']:,}", f"{row['failed']:,}", f"{row['cycles'] / row['count']:,.0f}",
         row["path"]]
        for row in paths["top"][:top] if row["count"] > 1
    ]  # fmt: skip
    if rows:
        _table(console, ("TIMES", "FAILED", "CYCLES EACH", "PATH"), rows)


def _suggestions(console: Console, result: dict[str, Any], top: int) -> None:
    _title(console, "Suggestions")
    if not result["suggestions"]:
        console.print("none: nothing found that would save 0.2 % of the time in calls")
    for number, one in enumerate(result["suggestions"][:top], 1):
        saved = (
            f"saves up to {one['saves_us'] / 1e3:,.2f} ms, "
            f"{100 * one['share']:.1f} % of the time in calls"
        )
        console.print(Text(printable(f"{number}. {one['place']}: {one['title']}"), style="bold"))
        for line in (one["why"], f"{saved}; basis: {one['basis']}"):
            console.print(Padding(Text(printable(line)), (0, 0, 0, 3)))
