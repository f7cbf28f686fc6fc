"""A timerfd: set."""

from benchmarks.job import Job, guest

JOB = Job(
    title="a timerfd set, asked and read",
    unit="cycles",
    better="less",
    command=lambda: [guest("timerfd"), "set"],
)
