"""A message through a FIFO to a process on the same CPU."""

from benchmarks.jobs.pipe_pair_64 import pipe_of

JOB = pipe_of(
    "64 bytes one way, same CPU",
    "ping",
    "64",
    "0",
    must=1.0,
    aim=0.8,
    kind=["fifo"],
)
