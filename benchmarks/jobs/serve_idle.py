"""What an idle server with many connections costs."""

import sys
from pathlib import Path

from benchmarks.job import HERE, Job, find

EXO_UM = str(Path(sys.executable).with_name("exo-um"))


def contenders() -> dict[str, list[str]]:
    """Return the commands of both sides."""
    find("nginx")
    command = [sys.executable, "-P", str(HERE / "idle.py")]
    return {"native": command, "exo-um": [*command, EXO_UM, "run"]}


JOB = Job(
    title="CPU use of an idle nginx with 1,000 connections",
    unit="%",
    better="less",
    contenders=contenders,
    by="median",
    must=0,
    aim=0,
    rounds=1,
)
