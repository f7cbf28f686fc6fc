"""A million calls whose arguments differ each time, each decoded into a line of a file.

Whole times, with the start of everything, as in trace_calls.
"""

from benchmarks.job import CACHE, Job, guest
from benchmarks.jobs.trace_calls import COUNT, EXO


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("trace_vary"), COUNT]
    return {
        "Linux": program,
        "exo-um trace": [EXO, "trace", "-o", str(CACHE / "trace.out"), *program],
    }


JOB = Job(
    title="a million calls, all different, traced to a file",
    unit="ms",
    better="less",
    source="wall",
    contenders=contenders,
    judged=("exo-um trace",),
    must=3.0,
)
