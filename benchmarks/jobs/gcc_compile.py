"""A compiler: a driver that starts two large programs, temporary files, some computing."""

from benchmarks.job import CACHE, Job, find

SOURCE = CACHE / "thousand.c"
FUNCTION = """\
int value_{n}(int a, int b)
{{
    int sum = {n};
    for (int i = a; i < b; i++)
        sum += i % ({n} + 3) ? i * a : sum ^ b;
    return sum;
}}

"""


def write_source() -> None:
    """Write a file of 1,000 lines."""
    CACHE.mkdir(parents=True, exist_ok=True)
    SOURCE.write_text("".join(FUNCTION.format(n=n) for n in range(125)))


JOB = Job(
    title="gcc -O2 of 1,000 lines",
    unit="ms",
    better="less",
    command=lambda: [find("gcc"), "-O2", "-c", "-o", str(CACHE / "compiled.o"), str(SOURCE)],
    source="wall",
    rounds=11,
    setup=write_source,
    must=1.25,
    aim=1.0,
)
