"""An interpreter's start: many small opens, stats and reads, one dynamic program."""

import os
import sys

from benchmarks.job import Job

JOB = Job(
    title="start and end of CPython",
    unit="ms",
    better="less",
    command=lambda: [os.path.realpath(sys.executable), "-I", "-c", "pass"],
    source="wall",
    rounds=21,
)
