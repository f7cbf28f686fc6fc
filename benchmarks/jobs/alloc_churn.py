"""Random objects replaced by others of random size, in sets that outlive their threads."""

from benchmarks.allocators import by_the_best, with_each
from benchmarks.job import native

JOB = by_the_best(
    "churn of two threads, 8 bytes to 16 KiB", lambda: with_each(native("malloc"), "churn")
)
