"""How often AF_UNIX needs the host."""

import sys

from benchmarks.job import Job, find

SIDES = {"native": "native", "exo-um, --stats": "stats", "exo-um, strace": "strace"}


def calls_of(title: str, what: str) -> Job:
    """Return the job of one of the things whose calls host_calls.py counts."""

    def contenders() -> dict[str, list[str]]:
        find("strace")
        command = [sys.executable, "-m", "benchmarks.host_calls"]
        return {side: [*command, how, what] for side, how in SIDES.items()}

    return Job(
        title=f"Host calls per {title}",
        unit="calls",
        better="less",
        contenders=contenders,
        judged=("exo-um, --stats", "exo-um, strace"),
        by="median",
        must=0.05,
        aim=0.01,
        rounds=1,
    )


JOB = calls_of("AF_UNIX message between two CPUs", "unix")
