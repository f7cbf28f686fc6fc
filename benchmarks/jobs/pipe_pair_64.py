"""A write to a pipe and its read, by one process."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pipe: 64 bytes written and read, one process",
    unit="cycles",
    better="less",
    command=lambda: [guest("pipe"), "pair", "64"],
    must=0.12,
    aim=0.06,
)
