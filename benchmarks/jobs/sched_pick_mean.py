"""The scheduler's pick on average: all classes, some through the inbox."""

from benchmarks.job import Job
from benchmarks.jobs.sched_pick_hot import sides

JOB = Job(
    title="A pick, the mean of all classes",
    unit="cycles",
    better="less",
    contenders=lambda: sides("mean"),
    judged=("C", "numba"),
    by="median",
    must=87,
    aim=25,
)
