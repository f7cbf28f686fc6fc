"""Much through a loopback TCP connection, to another CPU."""

from benchmarks.jobs.sock_unix_ping import sock_of

JOB = sock_of(
    "Loopback TCP: stream by 64 KiB to another CPU",
    "stream",
    "tcp",
    "65536",
    must=1.5,
    aim=3,
    unit="MB/s",
    better="more",
)
