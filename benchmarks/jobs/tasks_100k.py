"""Memory of 100,000 tasks that have begun and wait."""

import sys

from benchmarks.job import HERE, Job, native
from benchmarks.jobs.switch import FIBERS


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    python = [sys.executable, "-P", str(HERE / "tasks_python.py")]
    return {
        "exo tasks": [native("tasks", *FIBERS)],
        "greenlets": [*python, "greenlet"],
        "asyncio tasks": [*python, "asyncio"],
    }


JOB = Job(
    title="100,000 tasks alive, memory each",
    unit="KiB",
    better="less",
    contenders=contenders,
    judged=("exo tasks",),
    by="median",
    must=8,
    aim=4,
    rounds=1,
)
