"""From one exo task to the next, with the scheduler between them."""

from benchmarks.job import Job, native
from benchmarks.jobs.switch import FIBERS


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    program = native("switch", *FIBERS)
    return {
        "yield": [program, "yield"],
        "yield, 1,000 tasks": [program, "many"],
        "wake the other and park": [program, "park"],
        "spawn, run, join": [program, "spawn"],
        "sched_yield, 2 threads": [program, "sched_yield"],
        "futex hand-over, 2 threads": [program, "futex"],
    }


JOB = Job(
    title="exo task to the next, one way",
    unit="cycles",
    better="less",
    contenders=contenders,
    judged=("yield", "yield, 1,000 tasks", "wake the other and park"),
    by="median",
    must=304,
    rounds=3,
)
