"""A message through a FIFO to a process on another CPU."""

from benchmarks.jobs.pipe_pair_64 import pipe_of

JOB = pipe_of(
    "64 bytes one way to another CPU",
    "ping",
    "64",
    "1",
    must=0.25,
    aim=0.02,
    kind=["fifo"],
)
