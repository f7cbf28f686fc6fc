"""A message through a loopback TCP connection to a process on another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "Loopback TCP: 64 bytes one way to another CPU", "ping", "tcp", "64", "1", must=0.25, aim=0.02
)
