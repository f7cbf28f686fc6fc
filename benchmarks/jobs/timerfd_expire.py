"""A timerfd: expire."""

from benchmarks.job import Job, guest

JOB = Job(
    title="a timerfd set to what has passed, and read",
    unit="cycles",
    better="less",
    command=lambda: [guest("timerfd"), "expire"],
)
