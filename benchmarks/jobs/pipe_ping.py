"""A message through a pipe to a process on another CPU."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pipe: 64 bytes one way to another CPU",
    unit="cycles",
    better="less",
    command=lambda: [guest("pipe"), "ping", "64", "1"],
    must=0.25,
    aim=0.02,
)
