"""One ready fd among 10,000 idle ones."""

from benchmarks.jobs.epoll_pair import epoll_of

JOB = epoll_of("the same with 10,000 idle fds in the set", "pair", "10000", must=0.5, aim=0.15)
