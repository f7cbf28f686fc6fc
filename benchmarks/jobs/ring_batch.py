"""Messages of 56 bytes in batches of sixteen, to another CPU."""

from benchmarks.job import Job
from benchmarks.jobs.ring_ping import sides

JOB = Job(
    title="56 bytes in batches of 16, per message",
    unit="cycles",
    better="less",
    contenders=lambda: sides("batch"),
    judged=("ring, C", "ring, numba"),
    by="median",
    must=131,
    aim=20,
)
