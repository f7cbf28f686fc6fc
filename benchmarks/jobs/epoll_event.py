"""A write to an eventfd, epoll_wait and the read, by one process."""

from benchmarks.jobs.epoll_pair import epoll_of

JOB = epoll_of("an eventfd written, waited for and read, one process", "event", must=0.5, aim=0.15)
