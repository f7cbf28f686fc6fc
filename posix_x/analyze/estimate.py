"""How much faster or slower calls are on exo-um, by the last `posix-x benchmark`.

Without one on this machine, by the figures that stand here, and it is said which.
"""

from __future__ import annotations

import json
import math
from typing import Any

from posix_x.benchmark.measure import CASES, kept

# exo-um / Linux, as docs/architecture.md has them.
SHIPPED = {
    "getpid": 0.06,
    "open": 1.13,
    "read": 1.14,
    "write": 1.15,
    "pipe": 0.11,
    "fork": 1.2,
}
# Calls that cost as much as a measured one, as they go the same way.
LIKE = {
    "getpid": ("getpid", "gettid", "getppid", "rt_sigprocmask"),
    "open": ("openat", "open", "close"),
    "read": ("read", "pread64", "readv", "fstat", "lseek"),
    "write": ("write", "pwrite64", "writev"),
    "pipe": ("pipe", "pipe2", "socketpair", "eventfd2", "epoll_ctl", "poll", "select"),
    "fork": ("fork", "vfork", "clone", "clone3", "wait4", "execve"),
}


def estimate(found: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios that apply to a program's sure calls, and their geometric mean."""
    ratios, basis = _ratios()
    sure = {call["name"] for call in found["calls"] if call["how"] == "sure"}
    handed_on = {call["name"] for call in found["calls"] if call["tier"] == "pass"}
    kinds = {case: sure.intersection(names) - handed_on for case, names in LIKE.items()}
    kinds["read"] |= sure & handed_on  # the read measured is one that goes to the host, too
    rows: dict[str, dict[str, Any]] = {
        case: {"ratio": ratios[case], "calls": sorted(calls)}
        for case, calls in kinds.items()
        if case in ratios and calls
    }
    known = [row["ratio"] for row in rows.values() for _ in row["calls"]]
    mean = math.exp(sum(map(math.log, known)) / len(known)) if known else None
    return {
        "basis": basis,
        "kinds": rows,
        "covered": len(known),
        "of": len(sure),
        "mean_ratio": mean,
    }


def _ratios() -> tuple[dict[str, float], str]:
    try:
        measured = json.loads(kept().read_text())
        ratios = {figure["case"]: float(figure["ratio"]) for figure in measured["figures"]}
        if not set(ratios).issuperset(case.name for case in CASES):
            return SHIPPED, "docs/architecture.md"
        machine = measured["machine"]
    except (OSError, ValueError, KeyError, TypeError):
        return SHIPPED, "docs/architecture.md; posix-x benchmark measures on this machine"
    return ratios, f"posix-x benchmark on this machine ({machine['cpu']}), {measured['when']}"
