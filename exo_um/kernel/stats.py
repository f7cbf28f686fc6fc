"""What an instance has to tell at its end, for --stats and --verbose. Imported only then."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exo_um.bindings import lib
from posix_x.table import rows

if TYPE_CHECKING:
    from exo_um.kernel.instance import Instance

COUNTERS = ("processes", "threads", "execs", "signals")
PAGE = 4096  # bytes: EXO_PIPE_PAGE
PHASES = ("spawn", "loader", "region", "loaded", "entry")  # enum exo_boot_phase
TIERS = ("fast", "hybrid", "pass", "legacy", "none")


class Times:
    """CLOCK_MONOTONIC in nanoseconds when Python reached exo_um, had imported it, and was done."""

    def __init__(self, started_ns: int, imported_ns: int, ended_ns: int) -> None:
        self.started_ns = started_ns
        self.imported_ns = imported_ns
        self.ended_ns = ended_ns


def collect(instance: Instance, times: Times, exit_status: int | None) -> dict[str, Any]:
    """Return the report that --stats writes; times in microseconds, memory in KiB.

    exit_status: None where it is not known.
    """
    stats = instance.region.kr.stats
    calls = call_counts(instance.region.kr.counts)
    boot_us = {"imported": (times.imported_ns - times.started_ns) // 1000}
    for i, phase in enumerate(PHASES):
        if stats.boot_ns[i]:
            boot_us[phase] = (stats.boot_ns[i] - times.started_ns) // 1000
    return {
        "exit_status": exit_status,
        "calls": calls,
        "tiers": tier_counts(calls),
        "host_calls": sum(call["host_calls"] for call in calls.values()),
        "trapped": sum(call["trapped"] for call in calls.values()),
        "sites": {
            "patched": stats.sites_patched,
            "remembered": stats.sites_remembered,
            "trapping": stats.sites_trapping,
        },
        "zero_copy": {
            "handed_pages": stats.handed_pages,
            "handed_bytes": stats.handed_pages * PAGE,
            "differed": stats.handed_differed,
            "late": stats.handed_late,
        },
        "batch": {
            "naps": stats.naps,
            "bells_spared": stats.bells_spared,
            "bells_owed": stats.bells_owed,
        },
        **{name: getattr(stats, name) for name in COUNTERS},
        "boot_us": boot_us,
        "wall_us": (times.ended_ns - times.started_ns) // 1000,
        "kernel_cpu_us": time.process_time_ns() // 1000,
        "peak_kib": {
            "kernel": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "largest_guest": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        },
    }


def call_counts(counts: Any) -> dict[str, dict[str, Any]]:
    """Return what was counted for each call that was made, by name."""
    calls: dict[str, dict[str, Any]] = {}
    for nr in range(lib.EXO_CALL_COUNT):
        if not counts.calls[nr]:
            continue
        row = rows.ROWS.get(nr)
        name, tier = row[:2] if row else (f"call_{nr}", "none")
        calls[name] = {
            "calls": counts.calls[nr],
            "tier": tier,
            "legacy_calls": counts.legacy_calls[nr],
            "host_calls": counts.host_calls[nr],
            "trapped": counts.trapped[nr],
        }
    return calls


def tier_counts(calls: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Return calls by the tier that served them: legacy ones are not counted in their row's."""
    counts = dict.fromkeys(TIERS, 0)
    for call in calls.values():
        legacy = call["legacy_calls"]
        counts["legacy"] += legacy
        counts[call["tier"]] += call["calls"] - legacy
    return counts


def tell(instance: Instance, report: dict[str, Any]) -> None:
    """Say the boot's phases and the instance's facts on stderr."""
    kr = instance.region.kr
    phases = ", ".join(f"{name} {us / 1000:.1f}" for name, us in report["boot_us"].items())
    instance.say(f"boot, ms after Python reached exo-um: {phases}")
    instance.say(
        f"kernel: host pid {kr.kernel_host_pid}, {kr.cpu_count} CPUs, "
        f"region {kr.size >> 20} MiB (sparse), peak {report['peak_kib']['kernel'] >> 10} MiB"
    )
    instance.say(f"exit status {report['exit_status']} after {report['wall_us'] / 1000:.1f} ms")


def write(path: str, report: dict[str, Any]) -> None:
    """Write a report to a file that is complete whenever it is there; a device stays one."""
    import json

    target, text = Path(path), json.dumps(report, indent=2) + "\n"
    if target.exists() and not target.is_file():
        target.write_text(text)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
