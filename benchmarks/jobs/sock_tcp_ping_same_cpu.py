"""A message through a loopback TCP connection to a process on the same CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "Loopback TCP: 64 bytes one way, same CPU", "ping", "tcp", "64", "0", must=1.0, aim=0.8
)
