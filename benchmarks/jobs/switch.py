"""From one context to another on one CPU."""

import platform
import sys

from benchmarks.job import HERE, Job, native

# What exo tasks are made of, beside the core and the program itself.
HOST = ("clock", "fiber", "fiberwait", "look", "stack", "timer", "worker", "workers")
FIBERS = [
    *(f"host/{name}.c" for name in HOST),
    f"arch/{platform.machine()}/switch.S",
]


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    program = native("switch", *FIBERS)
    python = [sys.executable, "-P", str(HERE / "switch_python.py")]
    return {
        "exo, C": [program, "exo"],
        "exo, numba": [*python, "numba"],
        "greenlet, from Python": [*python, "greenlet"],
        "sched_yield, 2 threads": [program, "sched_yield"],
        "futex hand-over, 2 threads": [program, "futex"],
    }


JOB = Job(
    title="context switch, one way",
    unit="cycles",
    better="less",
    contenders=contenders,
    judged=("exo, C", "exo, numba"),
    by="median",
    must=304,
    aim=20,
    rounds=3,
)
