"""A message through a pipe to a process on another CPU that waits by epoll."""

from benchmarks.jobs.epoll_pair import epoll_of

JOB = epoll_of(
    "64 bytes one way to another CPU, both wait by epoll", "ping", "1", must=0.25, aim=0.02
)
