"""What a request costs redis-server: python redis_cost.py [LIBRARY].

Starts redis-server with an allocator preloaded, loads it with redis-benchmark over a socket of its
own, and prints the server's CPU time per request in ns, a line per run: what the client costs, and
where it runs, does not count.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 3
REQUESTS = 60_000
SHAPES = (
    ("set", "-d", "200"),
    ("lpush", "-d", "64"),
    ("hset", "-d", "100"),
    ("sadd",),
)


def tool(name: str) -> str:
    """Return the path of one of redis's programs."""
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is not installed")
    return path


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process's first thread in ns (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def load(socket: str) -> int:
    """Send all shapes of requests; return how many."""
    for shape in SHAPES:
        command = [tool("redis-benchmark"), "-s", socket, "-n", str(REQUESTS), "-P", "16"]
        options = ["-c", "8", "-r", "20000", "-q", "-t", *shape]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    return REQUESTS * len(SHAPES)


def main() -> None:
    """Print RUNS figures."""
    preload = {"LD_PRELOAD": sys.argv[1]} if len(sys.argv) > 1 else {}
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis"
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        server = subprocess.Popen(
            [tool("redis-server"), *options],
            env=os.environ | preload,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            while "ready to accept" not in (line := server.stdout.readline()).lower():
                if not line:
                    sys.exit("redis-server did not start")
            load(socket)
            for _ in range(RUNS):
                print(cost(socket, server.pid))
        finally:
            server.terminate()
            server.wait()


def cost(socket: str, pid: int) -> float:
    """Return the server's ns per request of one load."""
    began = cpu_ns(pid)
    requests = load(socket)
    return (cpu_ns(pid) - began) / requests


if __name__ == "__main__":
    main()
