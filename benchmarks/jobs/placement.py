"""Two guests that keep waking each other: with and without advice where to run."""

import sys
from pathlib import Path

from benchmarks.job import Job, guest

RUN = [str(Path(sys.executable).with_name("exo-um")), "run"]


def contenders() -> dict[str, list[str]]:
    """Return the commands, with short and with long runs between the wake-ups."""
    program = guest("pingpong")
    found = {}
    for name, steps in (("", "0"), (", 0.1 ms of work", "150000")):
        found[f"exo-um{name}"] = [*RUN, program, steps]
        found[f"exo-um, advice{name}"] = [*RUN, "--placement", "advice", program, steps]
    return found


JOB = Job(
    title="A byte to and fro between two guests",
    unit="us",
    better="less",
    contenders=contenders,
    judged=(),
    rounds=5,
)
