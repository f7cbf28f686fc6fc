"""The same, held and left for some microseconds."""

from benchmarks.job import Job, guest

JOB = Job(
    title="mutex of two threads, two CPUs, longer work",
    unit="cycles",
    better="less",
    command=lambda: [guest("futex", "-pthread"), "mutex", "10000"],
)
