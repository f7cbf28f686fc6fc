"""What code costs to map from where it may be: the reason for the file of patched copies."""

from benchmarks.job import Job, native

LIBRARY = "/lib/x86_64-linux-gnu/libc.so.6"

JOB = Job(
    title="1.4 MB of code mapped, touched every 64 KiB, unmapped",
    unit="us",
    better="less",
    contenders=lambda: {
        name: [native("mapcost"), what, LIBRARY]
        for name, what in {
            "library as it was read": "library",
            "memfd": "memfd",
            "file written at once": "file",
        }.items()
    },
)
