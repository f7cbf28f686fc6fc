"""A timer of the host's."""

from benchmarks.job import Job, guest

JOB = Job(
    title="the host's: a timerfd set, asked and read",
    unit="cycles",
    better="less",
    command=lambda: [guest("hostfd"), "timer"],
)
