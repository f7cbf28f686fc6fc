"""The report of a run as plain data: what --json writes, and the other forms show."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from posix_x.profile.tally import Site, Tally
from posix_x.table.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from posix_x.profile.spaces import Place
    from posix_x.profile.tally import SiteKey

TIERS = ("fast", "hybrid", "pass", "legacy", "none")
MEANING = {
    "fast": "answered in the process, at once",
    "hybrid": "served in the process; may block or call the host",
    "pass": "the host's, translated",
    "legacy": "Python, in the kernel process",
    "none": "not served",
}
PATHS = 50  # in the report; all are counted


def report(argv: tuple[str, ...], status: int, found: Tally) -> dict[str, Any]:
    """Return everything but the suggestions; times are in TSC cycles where no unit says else."""
    spent = sum(site.cycles for site in found.sites.values())
    return {
        "program": list(argv),
        "status": os.waitstatus_to_exitcode(status),
        "processes": found.processes,
        "calls": found.calls,
        "lost_records": found.lost,
        "tsc_hz": round(found.hz),
        "wall_cycles": found.cycles,
        "call_cycles": spent,
        "tiers": tiers(found),
        "names": names(found),
        "sites": sites(found),
        "copies": copies(found),
        "runs": runs(found),
        "paths": paths(found),
    }


def tier_of(key: SiteKey) -> str:
    """Return the tier that served a call: the table's, but for what was handed on to Python."""
    if key.legacy:
        return "legacy"
    return ROWS[key.nr][1] if key.nr in ROWS else "none"


def name_of(key: SiteKey) -> str:
    """Return the call's name."""
    return ROWS[key.nr][0] if key.nr in ROWS else f"syscall_{key.nr:#x}"


def grouped(found: Tally, by: Callable[[SiteKey], Hashable]) -> dict[Any, dict[str, Any]]:
    """Return sums of sites by a key: numbers, and how many calls asked the host or Python."""
    sums: dict[Hashable, Site] = {}
    asked: dict[Hashable, list[int]] = {}
    for key, site in found.sites.items():
        group = by(key)
        sums.setdefault(group, Site()).add(site)
        counts = asked.setdefault(group, [0, 0])
        counts[0] += site.calls if key.host else 0
        counts[1] += site.calls if key.legacy else 0
    return {
        group: numbers(site) | {"host": asked[group][0], "legacy": asked[group][1]}
        for group, site in sums.items()
    }


def numbers(site: Site) -> dict[str, Any]:
    """Return what is told of any sum; mean, median and p99 in cycles."""
    return {
        "calls": site.calls,
        "errors": site.errors,
        "bytes": site.bytes,
        "cycles": site.cycles,
        "mean": round(site.cycles / site.calls) if site.calls else 0,
        "median": site.quantile(0.5),
        "p99": site.quantile(0.99),
        "most": site.most,
        "histogram": sorted(site.buckets.items()),
    }


def tiers(found: Tally) -> list[dict[str, Any]]:
    """Return a row for each tier that served calls."""
    groups = grouped(found, tier_of)
    return [
        {"tier": tier, "meaning": MEANING[tier], **groups[tier]} for tier in TIERS if tier in groups
    ]


def names(found: Tally) -> list[dict[str, Any]]:
    """Return a row for each call, those that took longest first."""
    groups = grouped(found, name_of)
    tier = {name_of(key): tier_of(key) for key in found.sites if not key.legacy}
    rows = [{"name": name, "tier": tier.get(name, "legacy"), **row} for name, row in groups.items()]
    return sorted(rows, key=lambda row: -row["cycles"])


def sites(found: Tally) -> list[dict[str, Any]]:
    """Return a row for each place and call, those that took longest first."""
    groups = grouped(found, lambda key: (name_of(key), key.own, key.by))
    rows = [
        {"name": name, "place": placed(own), "by": placed(by) if by else None, **row}
        for (name, own, by), row in groups.items()
    ]
    for row in rows:
        del row["histogram"]
    return sorted(rows, key=lambda row: -row["cycles"])


def placed(place: Place) -> dict[str, Any]:
    """Return a place as data."""
    return {
        "text": place.text,
        "function": place.function,
        "file": place.file,
        "line": place.line,
        "module": place.module,
        "address": place.address,
    }


def copies(found: Tally) -> list[dict[str, Any]]:
    """Return what was read and written again, the most bytes first."""
    rows = [
        {
            **asdict(copy),
            "read": key.reads,
            "read_place": placed(key.read),
            "write": key.writes,
            "write_place": placed(key.write),
            "ways": [[start._asdict(), end._asdict()] for start, end in copy.ways],
        }
        for key, copy in found.copies.items()
    ]
    return sorted(rows, key=lambda row: -row["bytes"])


def runs(found: Tally) -> list[dict[str, Any]]:
    """Return small writes in a row, the most writes first."""
    rows = [
        {
            **asdict(run),
            "name": key.name,
            "place": placed(key.place),
            "to": [thing._asdict() for thing in run.to],
        }
        for key, run in found.runs.items()
    ]
    return sorted(rows, key=lambda row: -row["writes"])


def paths(found: Tally) -> dict[str, Any]:
    """Return how often paths were looked up that had been before; those most often first."""
    lookups = found.paths.lookups
    count = sum(one.count for one in lookups.values())
    again = count - len(lookups)
    most = sorted(lookups.items(), key=lambda item: (-item[1].count, item[0]))[:PATHS]
    return {
        "lookups": count,
        "different": len(lookups),
        "again": again,
        "hit_rate": again / count if count else None,
        "cycles": sum(one.cycles for one in lookups.values()),
        "failed": sum(one.failed for one in lookups.values()),
        "top": [
            {"path": path, "count": one.count, "failed": one.failed, "cycles": one.cycles,
             "calls": sorted(one.calls)}
            for path, one in most
        ],
    }  # fmt: skip
