"""Much through a pipe, to another CPU."""

from benchmarks.jobs.pipe_pair_64 import stream_of

JOB = stream_of(65536)
