"""Plots as SVG, to be put into a page: bars, and histograms over a scale of doublings."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LABEL, BAR, GAP = 860, 250, 18, 6
HEIGHT, EDGE = 190, 34
SHADES = ("#3b6fb6", "#d0782a", "#4f9d69", "#b04a5a", "#7c62a8")


def bars(rows: Sequence[tuple[str, float, str, int]]) -> str:
    """Return horizontal bars of (label, length, what stands behind it, shade)."""
    longest = max((length for _, length, _, _ in rows), default=0) or 1
    room = WIDTH - LABEL - 190
    parts = []
    for i, (label, length, note, shade) in enumerate(rows):
        y = i * (BAR + GAP)
        width = max(1.0, room * length / longest)
        parts.append(
            f'<text x="{LABEL - 8}" y="{y + 13}" class="end">{escape(label)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{_shade(shade)}"/>'
            f'<text x="{LABEL + width + 6:.1f}" y="{y + 13}" class="note">{escape(note)}</text>'
        )
    return _svg("".join(parts), len(rows) * (BAR + GAP))


def histogram(counts: Sequence[tuple[int, int]], marks: Sequence[tuple[str, float]]) -> str:
    """Return a histogram of (cycles, calls) over a logarithmic scale, with marks at some cycles."""
    sums: dict[int, int] = {}  # by quarters of a doubling
    for cycles, calls in counts:
        place = int(4 * math.log2(max(cycles, 1)))
        sums[place] = sums.get(place, 0) + calls
    if not sums:
        return ""
    low, high = min(sums) // 4 * 4, max(sums) // 4 * 4 + 4
    step = (WIDTH - 2 * EDGE) / (high - low)
    most = max(sums.values())
    floor = HEIGHT - EDGE

    def x_of(cycles: float) -> float:
        return EDGE + step * (4 * math.log2(max(cycles, 1)) - low)

    parts = [
        f'<rect x="{EDGE + step * (place - low):.1f}" '
        f'y="{floor - (floor - 24) * calls / most:.1f}" width="{max(step - 1, 1):.1f}" '
        f'height="{(floor - 24) * calls / most:.1f}" fill="{_shade(0)}">'
        f"<title>{calls:,} calls from {2 ** (place / 4):,.0f} cycles on</title></rect>"
        for place, calls in sorted(sums.items())
    ]
    every = -(-(high - low) // 40)  # ten of them have room
    parts.extend(
        f'<text x="{x_of(2.0**power):.1f}" y="{floor + 16}" class="mid">{short(2**power)}</text>'
        for power in range(low // 4, high // 4 + 1, every)
    )
    parts.extend(
        f'<line x1="{x_of(at):.1f}" x2="{x_of(at):.1f}" y1="{12 + 11 * i}" y2="{floor}" '
        f'class="mark"/><text x="{x_of(at) + 4:.1f}" y="{12 + 11 * i}" class="note">'
        f"{escape(name)}</text>"
        for i, (name, at) in enumerate(marks)
    )
    parts.append(f'<text x="{EDGE}" y="{HEIGHT - 4}" class="note">cycles of a call</text>')
    return _svg("".join(parts), HEIGHT)


def short(number: float) -> str:
    """Return a number as people write it on scales."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _shade(index: int) -> str:
    return SHADES[index % len(SHADES)]


def _svg(inside: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {max(height, 1):.0f}" width="{WIDTH}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    )


def unfolded(row: dict[str, Any]) -> str:
    """Return the histogram of a row of the report, its mean and 99th percentile marked."""
    from exo_um.bindings import lib

    counts = [(int(lib.exo_profile_bound(bucket)), calls) for bucket, calls in row["histogram"]]
    return histogram(counts, [("mean", row["mean"]), ("p99", row["p99"])])
