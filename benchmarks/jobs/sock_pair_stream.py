"""Much through a socketpair's connection, to another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "socketpair: stream by 64 KiB to another CPU",
    "stream",
    "pair",
    "65536",
    must=1.5,
    aim=3,
    unit="MB/s",
    better="more",
)
