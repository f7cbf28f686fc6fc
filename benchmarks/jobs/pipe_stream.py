"""Much through a pipe, to another CPU."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pipe: stream by 64 KiB to another CPU",
    unit="MB/s",
    better="more",
    command=lambda: [guest("pipe"), "stream", "65536"],
    must=1.5,
    aim=3,
)
