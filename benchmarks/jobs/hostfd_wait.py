"""A set with files of the host's alone."""

from benchmarks.job import Job, guest

JOB = Job(
    title="the host's: epoll_wait of a timerfd and a signalfd",
    unit="cycles",
    better="less",
    command=lambda: [guest("hostfd"), "wait"],
)
