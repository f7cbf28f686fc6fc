"""A message by a pair of AF_UNIX datagram sockets to a process on another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "AF_UNIX datagrams: 64 bytes one way to another CPU",
    "ping",
    "dgram",
    "64",
    "1",
    must=0.25,
    aim=0.02,
)
