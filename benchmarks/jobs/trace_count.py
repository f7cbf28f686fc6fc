"""A program that makes a million small calls, counted by exo-um trace -c."""

from benchmarks.job import CACHE, Job, guest
from benchmarks.jobs.trace_calls import COUNT, EXO


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("trace_calls"), COUNT]
    return {
        "Linux": program,
        "exo-um trace -c": [EXO, "trace", "-c", "-o", str(CACHE / "trace.out"), *program],
    }


JOB = Job(
    title="a million calls, counted",
    unit="ms",
    better="less",
    source="wall",
    contenders=contenders,
    judged=("exo-um trace -c",),
    must=1.5,
)
