"""A message of 56 bytes one way to another CPU: rings, and what the host has."""

import sys

from benchmarks.job import HERE, Job, native


def sides(what: str, *size: str) -> dict[str, list[str]]:
    """Return the two rings' commands."""
    return {
        "ring, C": [native("ring"), what, *size],
        "ring, numba": [sys.executable, "-P", str(HERE / "ring_numba.py"), what, *size],
    }


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    host = native("hostipc")
    return {
        **sides("ping"),
        "pipe": [host, "pipe"],
        "AF_UNIX": [host, "unix"],
        "POSIX mq": [host, "mq"],
        "eventfd, 8 B": [host, "eventfd"],
    }


JOB = Job(
    title="56 bytes one way to another CPU",
    unit="cycles",
    better="less",
    contenders=contenders,
    judged=("ring, C", "ring, numba"),
    by="median",
    must=347,
    aim=200,
)
