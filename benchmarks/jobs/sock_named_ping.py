"""A datagram by AF_UNIX names, there by a connection and back by name, to another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "AF_UNIX datagrams by name: 64 bytes one way to another CPU",
    "ping",
    "named",
    "64",
    "1",
    must=0.25,
    aim=0.02,
)
