"""A block of 4 KiB one way to another CPU, by reference."""

from benchmarks.job import Job
from benchmarks.jobs.ring_ping import sides


def block_of(title: str, size: int) -> Job:
    """Return the job of one size in bytes."""
    return Job(
        title=f"{title} one way to another CPU, without a copy",
        unit="cycles",
        better="less",
        contenders=lambda: sides("block", str(size)),
        judged=("ring, C", "ring, numba"),
        by="median",
        must=800,
        aim=300,
    )


JOB = block_of("4 KiB", 4096)
