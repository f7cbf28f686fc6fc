"""The same, both on one CPU."""

from benchmarks.job import Job, guest

JOB = Job(
    title="condition variable: a turn to a thread on the same CPU",
    unit="cycles",
    better="less",
    command=lambda: [guest("futex", "-pthread"), "cond", "0"],
)
