"""The same with both on one CPU."""

from benchmarks.jobs.epoll_pair import epoll_of

JOB = epoll_of("the same on one CPU", "ping", "0", must=1.0, aim=0.8)
