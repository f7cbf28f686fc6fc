"""A message by loopback UDP to a process on another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "Loopback UDP: 64 bytes one way to another CPU", "ping", "udp", "64", "1", must=0.25, aim=0.02
)
