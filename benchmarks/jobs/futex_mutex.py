"""A mutex that two threads on two CPUs contend for."""

from benchmarks.job import Job, guest

JOB = Job(
    title="mutex of two threads, two CPUs, short work",
    unit="cycles",
    better="less",
    command=lambda: [guest("futex", "-pthread"), "mutex", "200"],
)
