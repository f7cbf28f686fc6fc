"""A message through an AF_UNIX connection to a process on the same CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of("AF_UNIX: 64 bytes one way, same CPU", "ping", "unix", "64", "0", must=1.0, aim=0.8)
