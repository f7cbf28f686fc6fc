"""The cheapest system call, through libc: the price of interception."""

from benchmarks.job import Job, guest

JOB = Job(
    title="getpid",
    unit="cycles",
    better="less",
    command=lambda: [guest("getpid")],
)
