"""A message through an AF_UNIX connection to a process on another CPU."""

from typing import Literal

from benchmarks.job import Job, guest


def sock_of(
    title: str,
    *arguments: str,
    must: float | None = None,
    aim: float | None = None,
    unit: str = "cycles",
    better: Literal["less", "more"] = "less",
) -> Job:
    """Return the job of one of the things that guest/sock.c measures."""
    return Job(
        title=title,
        unit=unit,
        better=better,
        command=lambda: [guest("sock"), *arguments],
        must=must,
        aim=aim,
    )


JOB = sock_of(
    "AF_UNIX: 64 bytes one way to another CPU", "ping", "unix", "64", "1", must=0.25, aim=0.02
)
