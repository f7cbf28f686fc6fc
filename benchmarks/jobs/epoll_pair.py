"""A write to a pipe, epoll_wait and the read, by one process."""

from benchmarks.job import Job, guest


def epoll_of(title: str, *arguments: str, must: float, aim: float) -> Job:
    """Return the job of one of the things that guest/epoll.c measures, in cycles."""
    return Job(
        title=f"epoll: {title}",
        unit="cycles",
        better="less",
        command=lambda: [guest("epoll"), *arguments],
        must=must,
        aim=aim,
    )


JOB = epoll_of("a pipe written, waited for and read, one process", "pair", "0", must=0.5, aim=0.15)
