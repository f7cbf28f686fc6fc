"""A timerfd: sleep."""

from benchmarks.job import Job, guest

JOB = Job(
    title="asleep in epoll_wait until a timerfd expires after 50 us",
    unit="cycles",
    better="less",
    command=lambda: [guest("timerfd"), "sleep"],
)
