"""A call that the kernel process serves, while another guest keeps it busy for long."""

import sys
from pathlib import Path

from benchmarks.job import Job, guest

RUN = [str(Path(sys.executable).with_name("exo-um")), "run"]
BUSY = {
    "exo-um, alone": "alone",
    "exo-um, one reads 3 MB of maps": "maps",
    "exo-um, one reads 43 MB of smaps": "smaps",
    "exo-um, children killed beside 4000 tasks": "killed",
}


def contenders() -> dict[str, list[str]]:
    """Return the commands."""
    program = guest("held_up", "-pthread")
    return {name: [*RUN, program, what] for name, what in BUSY.items()}


JOB = Job(
    title="open(2) of a small file below /proc while the kernel process has much to do",
    unit="us",
    better="less",
    contenders=contenders,
    judged=(),
    rounds=3,
)
