"""A message through a pipe to a process on the same CPU."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pipe: 64 bytes one way, same CPU",
    unit="cycles",
    better="less",
    command=lambda: [guest("pipe"), "ping", "64", "0"],
    must=1.0,
    aim=0.8,
)
