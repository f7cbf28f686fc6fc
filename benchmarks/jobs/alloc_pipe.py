"""Objects that one CPU allocates and another frees."""

from benchmarks.allocators import with_each
from benchmarks.job import Job, native

JOB = Job(
    title="allocated on one CPU, freed on another, 16 to 512 bytes",
    unit="cycles",
    better="less",
    contenders=lambda: with_each(native("malloc"), "pipe"),
    judged=("exo",),
    by="best",
    must=1.1,
    aim=1,
)
