"""A write to a pipe and its read, by one process."""

from collections.abc import Sequence
from typing import Literal

from benchmarks.job import Job, guest


def pipe_of(
    title: str,
    *arguments: str,
    must: float,
    aim: float,
    unit: str = "cycles",
    better: Literal["less", "more"] = "less",
    kind: Sequence[str] = (),
) -> Job:
    """Return the job of one of the things that guest/pipe.c measures; kind: ["fifo"]."""
    return Job(
        title=f"{'FIFO' if kind else 'pipe'}: {title}",
        unit=unit,
        better=better,
        command=lambda: [guest("pipe"), *kind, *arguments],
        must=must,
        aim=aim,
    )


def stream_of(size: int, kind: Sequence[str] = ()) -> Job:
    """Return the job of a stream to another CPU, by pieces of a multiple of 1,024 bytes."""
    return pipe_of(
        f"stream by {size // 1024} KiB to another CPU", "stream", str(size),
        must=1.5, aim=3, unit="MB/s", better="more", kind=kind,
    )  # fmt: skip


JOB = pipe_of("64 bytes written and read, one process", "pair", "64", must=0.12, aim=0.06)
