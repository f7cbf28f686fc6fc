"""A shell script that starts many small programs."""

from benchmarks.job import Job

LOOP = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done"

JOB = Job(
    title="busybox sh starting /bin/true 500 times",
    unit="ms",
    better="less",
    command=lambda: ["/bin/busybox", "sh", "-c", LOOP],
    source="wall",
    rounds=7,
)
