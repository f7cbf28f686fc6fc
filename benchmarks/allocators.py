"""Allocators to compare, each preloaded into the same program."""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from benchmarks.job import Job, find

LIBRARIES = {
    "glibc": "libc.so.6",
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
    "exo": "libexo_malloc.so",
}
OWN = Path(sysconfig.get_path("platlib")) / "exo_um" / "_native"
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu")


def library(name: str) -> Path | None:
    """Return the path of an allocator's library, None where it is not installed."""
    paths = [Path(folder) / LIBRARIES[name] for folder in (OWN, *FOLDERS)]
    return next((path for path in paths if path.exists()), None)


def with_each(*command: str) -> dict[str, list[str]]:
    """Return the command with each allocator that is installed."""
    sides = {}
    for name in LIBRARIES:
        path = library(name)
        if path is None:
            print(f"allocators: {name} is not installed", file=sys.stderr)
        else:
            sides[name] = [find("env"), f"LD_PRELOAD={path}", *command]
    return sides


def by_the_best(
    title: str,
    contenders: Callable[[], dict[str, list[str]]],
    unit: str = "cycles",
    *,
    source: Literal["wall", "output"] = "output",
    rounds: int = 5,
) -> Job:
    """Return a job in which ours may be a tenth slower than the best of the others."""
    return Job(
        title=title,
        unit=unit,
        better="less",
        contenders=contenders,
        judged=("exo",),
        by="best",
        must=1.1,
        aim=1,
        source=source,
        rounds=rounds,
    )
