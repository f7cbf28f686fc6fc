"""The report as one HTML file that needs nothing else: no scripts, no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from posix_x.profile.plots import bars, unfolded
from posix_x.profile.report import TIERS
from posix_x.profile.text import by, milliseconds, named, share, summary, unchanged, way

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.4em; overflow-wrap: anywhere; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92em; }
th, td { padding: 0.15em 0.8em 0.15em 0; text-align: right; vertical-align: top; }
th { border-bottom: 1px solid #8888; }
td.text, th.text { text-align: left; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
svg .end { text-anchor: end; } svg .mid { text-anchor: middle; } svg .note { opacity: 0.75; }
svg .mark { stroke: #b04a5a; stroke-dasharray: 3 3; }
.quiet { opacity: 0.75; } ol li { margin-bottom: 0.8em; } code { overflow-wrap: anywhere; }
"""


def page(result: dict[str, Any], top: int) -> str:
    """Return the page."""
    title = escape(named(result))
    lines = "".join(f"<p>{escape(line)}</p>" for line in summary(result)[1:])
    sections = (
        ("What could be saved", _suggestions(result, top)),
        ("Calls by tier", _tiers(result)),
        ("Calls that took longest", _names(result, top)),
        ("Hot places", _sites(result, top)),
        ("Read into a buffer and written from it: could be zero-copy", _copies(result, top)),
        ("Small writes in a row: could be batched", _runs(result, top)),
        ("Paths", _paths(result, top)),
    )
    body = "".join(f"<h2>{name}</h2>\n{text}\n" for name, text in sections if text)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>Profile of {title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}: {escape(summary(result)[0].rpartition(': ')[2])}</h1>\n"
        f"{lines}\n{body}</body>\n</html>\n"
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int]) -> str:
    """Return a table; text: which columns are not numbers."""

    def cell(kind: str, i: int, value: str) -> str:
        class_ = ' class="text"' if i in text else ""
        return f"<{kind}{class_}>{escape(value)}</{kind}>"

    head = "".join(cell("th", i, name) for i, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(cell("td", i, value) for i, value in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _suggestions(result: dict[str, Any], top: int) -> str:
    if not result["suggestions"]:
        return "<p>Nothing was found that would save 0.2 % of the time in calls.</p>"
    items = "".join(
        f"<li><b>{escape(one['title'])}</b>: <code>{escape(one['place'])}</code><br>"
        f"{escape(one['why'])}<br>saves up to {one['saves_us'] / 1e3:,.2f} ms, "
        f"{100 * one['share']:.1f} % of the time in calls "
        f'<span class="quiet">(basis: {escape(one["basis"])})</span></li>\n'
        for one in result["suggestions"][:top]
    )
    return f"<ol>{items}</ol>"


def _tiers(result: dict[str, Any]) -> str:
    rows = result["tiers"]
    plot = bars(
        [
            (row["tier"], row["cycles"], f"{milliseconds(row['cycles'], result):,.2f} ms",
             TIERS.index(row["tier"]))
            for row in rows
        ]
    )  # fmt: skip
    table = _table(
        ("tier", "calls", "mean", "median", "p99", "of calls", "of time", "ask the host", ""),
        [
            [row["tier"], *(f"{row[key]:,}" for key in ("calls", "mean", "median", "p99")),
             share(row["calls"], result["calls"]), share(row["cycles"], result["call_cycles"]),
             share(row["host"], row["calls"]), row["meaning"]]
            for row in rows
        ],
        (0, 8),
    )  # fmt: skip
    shapes = "".join(f"<h3>{escape(row['tier'])}</h3>{unfolded(row)}" for row in rows)
    return f"{plot}{table}<details><summary>Calls by their cycles</summary>{shapes}</details>"


def _names(result: dict[str, Any], top: int) -> str:
    rows = result["names"][:top]
    plot = bars(
        [
            (row["name"], row["cycles"],
             f"{milliseconds(row['cycles'], result):,.2f} ms, {row['calls']:,} calls",
             TIERS.index(row["tier"]))
            for row in rows
        ]
    )  # fmt: skip
    table = _table(
        ("call", "tier", "calls", "mean", "median", "p99", "longest", "errors", "of time"),
        [
            [row["name"], row["tier"],
             *(f"{row[key]:,}" for key in ("calls", "mean", "median", "p99", "most", "errors")),
             share(row["cycles"], result["call_cycles"])]
            for row in rows
        ],
        (0, 1),
    )  # fmt: skip
    first = f"<h3>{escape(rows[0]['name'])}</h3>{unfolded(rows[0])}" if rows else ""
    return plot + table + first


def _sites(result: dict[str, Any], top: int) -> str:
    rows = result["sites"][:top]
    plot = bars(
        [
            (f"{row['name']} in {row['place']['function'] or row['place']['module']}"[:38],
             row["cycles"], row["place"]["text"][:34], TIERS.index(_tier(result, row["name"])))
            for row in rows
        ]
    )  # fmt: skip
    table = _table(
        ("of time", "calls", "mean", "p99", "call", "place", "by"),
        [
            [share(row["cycles"], result["call_cycles"]), f"{row['calls']:,}", f"{row['mean']:,}",
             f"{row['p99']:,}", row["name"], row["place"]["text"], by(row)]
            for row in rows
        ],
        (4, 5, 6),
    )  # fmt: skip
    return plot + table


def _tier(result: dict[str, Any], name: str) -> str:
    return next((str(row["tier"]) for row in result["names"] if row["name"] == name), "none")


def _copies(result: dict[str, Any], top: int) -> str:
    if not result["copies"]:
        return ""
    return _table(
        ("bytes", "reads", "writes", "largest", "unchanged", "read", "written", "data"),
        [
            [f"{row['bytes']:,}", f"{row['reads']:,}", f"{row['writes']:,}", f"{row['largest']:,}",
             unchanged(row), f"{row['read']} {row['read_place']['text']}",
             f"{row['write']} {row['write_place']['text']}", way(row)]
            for row in result["copies"][:top]
        ],
        (5, 6, 7),
    )  # fmt: skip


def _runs(result: dict[str, Any], top: int) -> str:
    if not result["runs"]:
        return ""
    return _table(
        ("writes", "runs", "longest", "bytes each", "cycles each", "call", "place", "to"),
        [
            [f"{row['writes']:,}", f"{row['runs']:,}", f"{row['longest']:,}",
             f"{row['bytes'] / row['writes']:,.1f}", f"{row['cycles'] / row['writes']:,.0f}",
             row["name"], row["place"]["text"], ", ".join(thing["name"] for thing in row["to"])]
            for row in result["runs"][:top]
        ],
        (5, 6, 7),
    )  # fmt: skip


def _paths(result: dict[str, Any], top: int) -> str:
    paths = result["paths"]
    if not paths["lookups"]:
        return ""
    plot = bars(
        [
            ("looked up before", paths["again"], f"{paths['again']:,}", 2),
            ("new", paths["different"], f"{paths['different']:,}", 0),
        ]
    )
    said = (
        f"<p>A cache would have answered {100 * paths['hit_rate']:.1f} % of {paths['lookups']:,} "
        f"look-ups; {paths['failed']:,} failed.</p>"
    )
    table = _table(
        ("times", "failed", "cycles each", "path"),
        [
            [f"{row['count']:,}", f"{row['failed']:,}", f"{row['cycles'] / row['count']:,.0f}",
             row["path"]]
            for row in paths["top"][:top]
        ],
        (3,),
    )  # fmt: skip
    return said + plot + table
