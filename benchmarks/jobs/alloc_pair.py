"""An alloc of 64 bytes and its free, again and again."""

import sys

from benchmarks.allocators import with_each
from benchmarks.job import HERE, Job, native


def contenders() -> dict[str, list[str]]:
    """Return the allocators, and the thread cache compiled into a jitted loop."""
    numba = [sys.executable, "-P", str(HERE / "alloc_numba.py"), "64"]
    return {**with_each(native("malloc"), "pair", "64"), "exo, numba": numba}


JOB = Job(
    title="alloc + free of 64 bytes",
    unit="cycles",
    better="less",
    contenders=contenders,
    judged=("exo", "exo, numba"),
    by="median",
    must=15,
    aim=8,
)
