"""Much through a FIFO by small writes, to another CPU."""

from benchmarks.jobs.pipe_pair_64 import stream_of

JOB = stream_of(4096, ["fifo"])
