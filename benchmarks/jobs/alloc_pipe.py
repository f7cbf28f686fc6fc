"""Objects that one CPU allocates and another frees."""

from benchmarks.allocators import by_the_best, with_each
from benchmarks.job import native

JOB = by_the_best(
    "allocated on one CPU, freed on another, 16 to 512 bytes",
    lambda: with_each(native("malloc"), "pipe"),
)
