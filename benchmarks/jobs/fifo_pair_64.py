"""A write to a FIFO and its read, by one process."""

from benchmarks.jobs.pipe_pair_64 import pipe_of

JOB = pipe_of(
    "64 bytes written and read, one process",
    "pair",
    "64",
    must=0.12,
    aim=0.06,
    kind=["fifo"],
)
