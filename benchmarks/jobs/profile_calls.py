"""A program that makes a million small calls, each put down to its place by posix-x profile.

Whole times, with the start of everything and the report.
"""

from benchmarks.job import Job, guest
from benchmarks.jobs.trace_calls import COUNT, EXO

POSIX_X = EXO.removesuffix("exo-um") + "posix-x"


def contenders() -> dict[str, list[str]]:
    """Return the commands; without exo-um first."""
    program = [guest("trace_calls"), COUNT]
    profile = [POSIX_X, "profile", "-o", "/dev/null"]
    return {
        "Linux": program,
        "posix-x profile": [*profile, *program],
        "posix-x profile --no-callers": [*profile, "--no-callers", *program],
    }


JOB = Job(
    title="a million calls, profiled",
    unit="ms",
    better="less",
    source="wall",
    contenders=contenders,
    judged=("posix-x profile",),
)
