"""Pure computation: must not notice that it runs under exo-um."""

from benchmarks.job import Job, guest

JOB = Job(
    title="CPU-bound loop without system calls",
    unit="ms",
    better="less",
    command=lambda: [guest("cpu")],
)
