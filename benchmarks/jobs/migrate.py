"""A program as it is and as posix-x migrate rewrites it, natively and on exo-um.

Whole times, with the start of everything: 3,000 questions and answers by pipes, 40,000 writes of a
byte.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.job import CACHE, HERE, Job

BIN = Path(sys.executable).parent


def contenders() -> dict[str, list[str]]:
    """Return the commands; the program as it is, on Linux, first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    old, new = HERE / "guest" / "migrated.c", CACHE / "migrated_native.c"
    subprocess.run([BIN / "posix-x", "migrate", old, "-o", new], check=True, capture_output=True)
    for source in (old, new):
        argv = [str(BIN / "exo-cc"), "-O2", "-w", "-o", str(CACHE / source.stem), str(source)]
        subprocess.run(argv, check=True)
    exo = [str(BIN / "exo-um"), "run"]
    before, after = (str(CACHE / source.stem) for source in (old, new))
    return {
        "Linux": [before],
        "Linux, rewritten": [after],
        "exo-um": [*exo, before],
        "exo-um, rewritten": [*exo, after],
    }


JOB = Job(
    title="a program of pipes and small writes",
    unit="ms",
    better="less",
    source="wall",
    contenders=contenders,
    judged=("Linux, rewritten",),
    must=1.0,
)
