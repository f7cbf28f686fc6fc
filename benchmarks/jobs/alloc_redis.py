"""What a request costs redis-server, by its allocator."""

import sys

from benchmarks.allocators import LIBRARIES, by_the_best, library
from benchmarks.job import HERE, find


def contenders() -> dict[str, list[str]]:
    """Return the load with each allocator that is installed."""
    find("redis-server")
    paths = {name: library(name) for name in LIBRARIES}
    script = str(HERE / "redis_cost.py")
    return {name: [sys.executable, script, str(path)] for name, path in paths.items() if path}


JOB = by_the_best(
    "redis-server's CPU time per SET, LPUSH, HSET, SADD, pipelined", contenders, "ns", rounds=2
)
