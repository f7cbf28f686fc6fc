"""A message by a pair of AF_UNIX datagram sockets to a process on the same CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "AF_UNIX datagrams: 64 bytes one way, same CPU", "ping", "dgram", "64", "0", must=1.0, aim=0.8
)
