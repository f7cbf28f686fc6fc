"""A datagram by AF_UNIX names, there by a connection and back by name, on one CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "AF_UNIX datagrams by name: 64 bytes one way, same CPU",
    "ping",
    "named",
    "64",
    "0",
    must=1.0,
    aim=0.8,
)
