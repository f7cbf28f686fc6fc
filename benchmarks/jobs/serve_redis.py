"""redis-server and redis-benchmark, one request in flight per client."""

import sys

from benchmarks.job import HERE, Job, find


def serve_of(title: str, needs: tuple[str, ...], *load: str, must: float, aim: float) -> Job:
    """Return the job of one of servers.py's loads, which needs some programs."""

    def command() -> list[str]:
        for program in needs:
            find(program)
        return [sys.executable, "-P", str(HERE / "servers.py"), *load]

    return Job(title=title, unit="1/s", better="more", command=command, must=must, aim=aim)


REDIS = ("redis-server", "redis-benchmark")
JOB = serve_of("redis: PING, SET, GET by 50 clients", REDIS, "redis", must=5, aim=12)
