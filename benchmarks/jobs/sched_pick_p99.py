"""The scheduler's pick where it takes longest: the 99th of a hundred."""

from benchmarks.job import Job
from benchmarks.jobs.sched_pick_hot import sides

JOB = Job(
    title="A pick, the 99th of a hundred",
    unit="cycles",
    better="less",
    contenders=lambda: sides("p99"),
    judged=("C", "numba"),
    by="median",
    must=150,
    aim=60,
)
