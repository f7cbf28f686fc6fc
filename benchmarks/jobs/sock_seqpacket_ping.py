"""A message by a pair of SOCK_SEQPACKET sockets to a process on another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "SOCK_SEQPACKET: 64 bytes one way to another CPU",
    "ping",
    "seqpacket",
    "64",
    "1",
    must=0.25,
    aim=0.02,
)
