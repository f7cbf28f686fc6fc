"""A page written to a FIFO and read, by one process."""

from benchmarks.jobs.pipe_pair_64 import pipe_of

JOB = pipe_of(
    "4 KiB written and read, one process",
    "pair",
    "4096",
    must=0.5,
    aim=0.25,
    kind=["fifo"],
)
