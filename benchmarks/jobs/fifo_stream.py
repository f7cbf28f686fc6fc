"""Much through a FIFO, to another CPU."""

from benchmarks.jobs.pipe_pair_64 import pipe_of

JOB = pipe_of(
    "stream by 64 KiB to another CPU",
    "stream",
    "65536",
    must=1.5,
    aim=3,
    unit="MB/s",
    better="more",
    kind=["fifo"],
)
