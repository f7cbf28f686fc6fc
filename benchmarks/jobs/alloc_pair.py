"""An alloc of 64 bytes and its free, again and again."""

from benchmarks.allocators import with_each
from benchmarks.job import Job, native

JOB = Job(
    title="alloc + free of 64 bytes",
    unit="cycles",
    better="less",
    contenders=lambda: with_each(native("malloc"), "pair", "64"),
    judged=("exo",),
    by="median",
    must=15,
    aim=8,
)
