"""Random objects replaced by others of random size, in sets that outlive their threads."""

from benchmarks.allocators import with_each
from benchmarks.job import Job, native

JOB = Job(
    title="churn of two threads, 8 bytes to 16 KiB",
    unit="cycles",
    better="less",
    contenders=lambda: with_each(native("malloc"), "churn"),
    judged=("exo",),
    by="best",
    must=1.1,
    aim=1,
)
