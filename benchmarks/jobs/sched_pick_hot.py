"""The scheduler's pick from the hot list, on one CPU."""

import sys

from benchmarks.job import HERE, Job, native


def sides(what: str) -> dict[str, list[str]]:
    """Return the commands."""
    return {
        "C": [native("sched"), what],
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
