"""A timerfd: epoll."""

from benchmarks.job import Job, guest

JOB = Job(
    title="a timerfd set, waited for by epoll_wait, and read",
    unit="cycles",
    better="less",
    command=lambda: [guest("timerfd"), "epoll"],
)
