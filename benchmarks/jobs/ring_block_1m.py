"""A block of 1 MiB one way to another CPU, by reference."""

from benchmarks.job import Job
from benchmarks.jobs.ring_ping import sides

JOB = Job(
    title="1 MiB one way to another CPU, without a copy",
    unit="cycles",
    better="less",
    contenders=lambda: sides("block", "1048576"),
    judged=("ring, C", "ring, numba"),
    by="median",
    must=800,
    aim=300,
)
