"""Memory that is resident beyond the live bytes, after EXO_WASTE_S seconds (6)."""

import os

from benchmarks.allocators import by_the_best, with_each
from benchmarks.job import Job, native


def waste_of(title: str, *options: str) -> Job:
    """Return the job of one kind of churn."""
    seconds = os.environ.get("EXO_WASTE_S", "6")
    return by_the_best(
        f"resident beyond live bytes, {title}",
        lambda: with_each(native("malloc"), "waste", seconds, *options),
        "%",
        rounds=1,
    )


JOB = waste_of("churn")
