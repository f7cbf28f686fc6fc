"""Share of bursts, in recorded traces, whose class was predicted before they ran.

Judged: each trace. Beside them what a moving average of each thread's own run times, its last class
and "always hot" would have said.
"""

import sys

from benchmarks.job import HERE, Job

TRACES = ("gcc", "make", "python", "redis", "sh")
OTHERS = {"average": "own average", "last": "last class", "hot": "always hot"}


def command(trace: str, predictor: str) -> list[str]:
    """Return a contender's command."""
    return [sys.executable, "-P", str(HERE / "accuracy.py"), trace, predictor]


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    return {trace: command(trace, "exo") for trace in TRACES} | {
        f"{trace}, {name}": command(trace, other)
        for trace in TRACES
        for other, name in OTHERS.items()
    }


JOB = Job(
    title="Class of run time predicted",
    unit="%",
    better="more",
    contenders=contenders,
    judged=TRACES,
    by="median",
    must=80,
    aim=90,
    rounds=1,
)
