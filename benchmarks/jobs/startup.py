"""Start-up: the whole of a program that does nothing, kernel boot included."""

from benchmarks.job import Job

JOB = Job(
    title="start and end of `busybox true`",
    unit="ms",
    better="less",
    command=lambda: ["/bin/busybox", "true"],
    source="wall",
    rounds=41,
)
