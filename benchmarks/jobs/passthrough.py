"""A call that goes through to the host: what translation adds to it."""

from benchmarks.job import CACHE, Job, guest


def setup() -> None:
    """Write the file to read from, which leaves it in the page cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "page").write_bytes(bytes(4096))


JOB = Job(
    title="pread of 64 B, cached file",
    unit="cycles",
    better="less",
    command=lambda: [guest("passthrough"), str(CACHE / "page")],
    setup=setup,
)
