"""A signalfd of the host's."""

from benchmarks.job import Job, guest

JOB = Job(
    title="the host's: a signal sent to itself and read from a signalfd",
    unit="cycles",
    better="less",
    command=lambda: [guest("hostfd"), "signal"],
)
