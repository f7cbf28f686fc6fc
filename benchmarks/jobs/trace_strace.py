"""What a traced call takes the program, by exo-um trace and by Debian's strace.

strace is given a fiftieth of the calls: its time is the same for each.
"""

from benchmarks.job import CACHE, Job, find, guest
from benchmarks.jobs.trace_calls import COUNT, EXO


def contenders() -> dict[str, list[str]]:
    """Return the commands; without a tracer first."""
    program, out = guest("trace_calls"), str(CACHE / "trace.out")
    return {
        "Linux": [program, COUNT],
        "exo-um trace": [EXO, "trace", "-o", out, program, COUNT],
        "strace": [find("strace"), "-o", out, program, "20000"],
    }


JOB = Job(
    title="one call, traced",
    unit="ns",
    better="less",
    contenders=contenders,
    judged=("exo-um trace",),
    must=3.0,
)
