"""A shell script that starts many small programs, in Debian's sh."""

from benchmarks.job import Job

LOOP = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done"


def loop_of(*shell: str) -> Job:
    """Return the job of one shell."""
    return Job(
        title=f"{' '.join(shell)} starting /bin/true 500 times",
        unit="ms",
        better="less",
        command=lambda: [*shell, "-c", LOOP],
        source="wall",
        rounds=7,
        must=1.25,
        aim=1.0,
    )


JOB = loop_of("/bin/sh")
