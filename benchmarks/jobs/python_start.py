"""An interpreter's start: many small opens, stats and reads, one dynamic program."""

import os
import sys

from benchmarks.job import Job

COUNT = 20
LOOP = 'i=0; while [ $i -lt {count} ]; do "{python}" -I -c pass; i=$((i + 1)); done'

JOB = Job(
    title=f"sh starting CPython {COUNT} times",
    unit="ms",
    better="less",
    command=lambda: [
        "/bin/sh",
        "-c",
        LOOP.format(count=COUNT, python=os.path.realpath(sys.executable)),
    ],
    source="wall",
    rounds=7,
    must=1.25,
    aim=1.0,
)
