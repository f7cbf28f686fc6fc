"""A block of 4 KiB one way to another CPU, by reference."""

from benchmarks.job import Job
from benchmarks.jobs.ring_ping import sides

JOB = Job(
    title="4 KiB one way to another CPU, without a copy",
    unit="cycles",
    better="less",
    contenders=lambda: sides("block", "4096"),
    judged=("ring, C", "ring, numba"),
    by="median",
    must=800,
    aim=300,
)
