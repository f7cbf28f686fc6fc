"""56 bytes one way between two Python processes on two CPUs."""

import os
import sys

from benchmarks.job import HERE, Job, UnavailableError


def sides(what: str, *, same: bool = False) -> dict[str, list[str]]:
    """Return the contenders' commands; on two CPUs, or both processes on the same one."""
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    if same:
        cpus = cpus[-1:] * 2
    if len(cpus) < 2:
        raise UnavailableError("two CPUs are needed")
    program = [sys.executable, "-P", str(HERE / "channel.py")]
    names = {
        "multiprocessing.Pipe": "pipe",
        "exo_std channel": "channel",
        "multiprocessing.Queue": "queue",
        "pyzmq": "zmq",
        "POSIX mq": "mq",
    }
    if what == "frame":
        del names["POSIX mq"]
    return {
        title: [*program, name, what, *(str(cpu) for cpu in cpus)] for title, name in names.items()
    }


def channels(title: str, what: str, *, same: bool = False) -> Job:
    """Return the job of one way to use channels.

    same: on one CPU, where most of it is the host's switch between processes: no target for that.
    """
    return Job(
        title=title,
        unit="ns",
        better="less",
        contenders=lambda: sides(what, same=same),
        judged=() if same else ("exo_std channel",),
        must=1 / 5,
        aim=1 / 20,
        rounds=3,
    )


JOB = channels("56 bytes one way between Python processes", "ping")
