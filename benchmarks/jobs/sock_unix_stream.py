"""Much through an AF_UNIX connection, to another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "AF_UNIX: stream by 64 KiB to another CPU",
    "stream",
    "unix",
    "65536",
    must=1.5,
    aim=3,
    unit="MB/s",
    better="more",
)
