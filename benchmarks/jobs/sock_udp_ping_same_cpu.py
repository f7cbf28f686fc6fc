"""A message by loopback UDP to a process on the same CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "Loopback UDP: 64 bytes one way, same CPU", "ping", "udp", "64", "0", must=1.0, aim=0.8
)
