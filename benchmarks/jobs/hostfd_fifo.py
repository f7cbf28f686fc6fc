"""A FIFO that is opened O_RDWR, and so the host's."""

from benchmarks.job import Job, guest

JOB = Job(
    title="the host's: 64 bytes written to a FIFO (O_RDWR) and read",
    unit="cycles",
    better="less",
    command=lambda: [guest("hostfd"), "fifo"],
)
