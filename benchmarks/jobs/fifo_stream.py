"""Much through a FIFO, to another CPU."""

from benchmarks.jobs.pipe_pair_64 import stream_of

JOB = stream_of(65536, ["fifo"])
