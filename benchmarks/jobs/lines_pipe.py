"""Lines of 20 bytes to a reader on another CPU, with the batch optimiser and without."""

from benchmarks.job import Job, guest
from benchmarks.jobs.trace_calls import EXO


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("lines"), "pipe", "20000", "1", "used"]
    return {
        "Linux": program,
        "exo-um": [EXO, "run", *program],
        "exo-um --batch off": [EXO, "run", "--batch", "off", *program],
    }


JOB = Job(
    title="lines: CPU time of both sides, a line in 20,000 cycles",
    unit="ns",
    better="less",
    contenders=contenders,
    judged=("exo-um",),
)
