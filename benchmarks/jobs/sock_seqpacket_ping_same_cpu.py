"""A message by a pair of SOCK_SEQPACKET sockets to a process on the same CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "SOCK_SEQPACKET: 64 bytes one way, same CPU", "ping", "seqpacket", "64", "0", must=1.0, aim=0.8
)
