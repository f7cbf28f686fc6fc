"""A program between two pipes, with zero-copy detection and without."""

from benchmarks.job import Job, guest
from benchmarks.jobs.trace_calls import EXO


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("relay"), "cycles", "131072"]
    return {
        "Linux": program,
        "exo-um": [EXO, "run", *program],
        "exo-um --zero-copy off": [EXO, "run", "--zero-copy", "off", *program],
    }


JOB = Job(
    title="relay: 64 KiB read from a pipe and written to another",
    unit="cycles",
    better="less",
    contenders=contenders,
    judged=("exo-um",),
)
