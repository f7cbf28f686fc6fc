"""A turn handed to a thread on another CPU by a condition variable."""

from benchmarks.job import Job, guest

JOB = Job(
    title="condition variable: a turn to a thread on another CPU",
    unit="cycles",
    better="less",
    command=lambda: [guest("futex", "-pthread"), "cond", "1"],
)
