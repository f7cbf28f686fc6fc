"""Memory that is resident beyond the live bytes, after EXO_WASTE_S seconds (6)."""

import os

from benchmarks.allocators import with_each
from benchmarks.job import Job, native


def waste_of(title: str, *options: str) -> Job:
    """Return the job of one kind of churn."""
    seconds = os.environ.get("EXO_WASTE_S", "6")
    return Job(
        title=f"resident beyond live bytes, {title}",
        unit="%",
        better="less",
        contenders=lambda: with_each(native("malloc"), "waste", seconds, *options),
        judged=("exo",),
        by="best",
        must=1.1,
        aim=1,
        rounds=1,
    )


JOB = waste_of("churn")
