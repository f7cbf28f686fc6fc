"""A compiler: a driver that starts two large programs, temporary files, some computing."""

from benchmarks.job import CACHE, HERE, Job, find

JOB = Job(
    title="gcc -O2 of a small file",
    unit="ms",
    better="less",
    command=lambda: [
        find("gcc"),
        "-O2",
        "-c",
        "-o",
        str(CACHE / "compiled.o"),
        str(HERE / "guest" / "getpid.c"),
    ],
    source="wall",
    rounds=11,
    setup=lambda: CACHE.mkdir(parents=True, exist_ok=True),
)
