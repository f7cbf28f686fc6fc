"""A program that makes a million small calls, each decoded into a line of a file by exo-um trace.

Whole times, with the start of everything. What strace takes for each call: trace_strace.
"""

import sys
from pathlib import Path

from benchmarks.job import CACHE, Job, guest

COUNT = "1000000"
EXO = str(Path(sys.executable).with_name("exo-um"))


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("trace_calls"), COUNT]
    trace = [EXO, "trace", "-o", str(CACHE / "trace.out")]
    return {"Linux": program, "exo-um trace": [*trace, *program]}


JOB = Job(
    title="a million calls, traced to a file",
    unit="ms",
    better="less",
    source="wall",
    contenders=contenders,
    judged=("exo-um trace",),
    must=3.0,
)
