"""A block of 1 MiB one way to another CPU, by reference."""

from benchmarks.jobs.ring_block_4k import block_of

JOB = block_of("1 MiB", 1 << 20)
