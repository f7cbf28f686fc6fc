"""A page written to a pipe and read, by one process."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pipe: 4 KiB written and read, one process",
    unit="cycles",
    better="less",
    command=lambda: [guest("pipe"), "pair", "4096"],
    must=0.5,
    aim=0.25,
)
