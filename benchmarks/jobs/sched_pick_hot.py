"""The scheduler's pick from the hot list, on one CPU."""

import sys

from benchmarks.job import HERE, Job, native

SCHED = ("", "list", "pick", "predict", "repair", "steal", "wake")
RING = ("", "batch", "bell", "repair", "set", "wait")
CORE = [
    *(f"core/sched{part}.c" for part in SCHED),
    *(f"core/ring{part}.c" for part in RING),
    *(f"core/{name}.c" for name in ("pool", "blockmsg", "lock")),
]


def sides(what: str) -> dict[str, list[str]]:
    """Return the commands."""
    return {
        "C": [native("sched", *CORE), what],
        "numba": [sys.executable, "-P", str(HERE / "sched_numba.py"), what],
    }


JOB = Job(
    title="A pick from the hot list",
    unit="cycles",
    better="less",
    contenders=lambda: sides("hot"),
    judged=("C", "numba"),
    by="median",
    must=50,
    aim=15,
)
