"""A server and its load, both inside: servers.py redis [DEPTH [N]] | nginx | postgres | hold COUNT.

After `crowded` as the first word there is a process on each CPU that computes meanwhile.

Prints requests (transactions) per second, one figure per line. Started natively and as a guest, so
that the whole of it is on one side. redis is sent N requests of each kind, else as many as take
half a second. `hold` is nginx with COUNT idle connections: it prints a line once they are there,
and ends with its input (see idle.py).
"""

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

START_S = 20.0
RUN_S = 1.0
REDIS_FIRST, REDIS_MOST = 10_000, 4_000_000
PAGE = b"x" * 612  # as long as nginx's own first page
BINARIES = Path("/usr/lib/postgresql")
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_timeout {keep_s};
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}; location / {{ root {folder}; }} }}
}}
"""


def tool(name: str) -> str:
    """Return the path of a program; exits if it is not installed."""
    newest = sorted(BINARIES.glob("*/bin"))[-1:]
    folders = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, newest)]
    path = shutil.which(name, path=":".join(folders))
    if path is None:
        sys.exit(f"{name} is not installed")
    return path


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def until_ready(server: subprocess.Popen[bytes], probe: Callable[[], None]) -> None:
    """Probe again and again until the server answers; exits if it ends, or never does."""
    for _ in range(int(START_S / 0.01)):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return probe()
        with contextlib.suppress(subprocess.TimeoutExpired):
            sys.exit(f"{server.args!r} ended with {server.wait(0.01)}")
    sys.exit(f"{server.args!r} does not answer")


def connect(port: int) -> None:
    """Connect and hang up. Errors: OSError."""
    socket.create_connection(("127.0.0.1", port), START_S).close()


@contextlib.contextmanager
def serving(argv: list[str], probe: Callable[[], None], **options: object) -> Iterator[None]:
    """Start a server, wait until it answers, and end it."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server: subprocess.Popen[bytes] = subprocess.Popen(argv, **{**quiet, **options})  # type: ignore[call-overload]
    try:
        until_ready(server, probe)
        yield
    finally:
        server.send_signal(2)  # nginx, redis and PostgreSQL end at once then
        try:
            server.wait(START_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def printed(argv: list[str], pattern: str, **options: object) -> list[float]:
    """Run a load and return the figures of its output."""
    done = subprocess.run(  # type: ignore[call-overload]
        argv, capture_output=True, text=True, timeout=60, check=False, **options
    )
    if done.returncode != 0:
        sys.exit(f"{argv[0]} ended with {done.returncode}: {done.stderr}")
    return [float(found) for found in re.findall(pattern, done.stdout, re.MULTILINE)]


def redis(folder: Path, depth: int = 1, exactly: int = 0) -> list[float]:
    """Return requests/s of PING (twice), SET and GET by 50 clients, depth in flight each."""
    port = free_port()
    argv = [tool("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder)]

    def load(count: float) -> list[float]:
        options = ["-p", str(port), "-t", "ping,set,get", "-c", "50", "-P", str(depth), "--csv"]
        command = [tool("redis-benchmark"), *options, "-n", str(int(count))]
        return printed(command, r'^"(?:PING|SET|GET)[^"]*","([\d.]+)"')

    with serving(argv, lambda: connect(port)):
        first = load(exactly or REDIS_FIRST * depth)
        if exactly:
            return first
        return load(min(REDIS_MOST, RUN_S / 2 * sum(first) / len(first)))


@contextlib.contextmanager
def web(folder: Path, keep_s: int = 75) -> Iterator[int]:
    """Have nginx serve a page with one worker; gives its port."""
    port = free_port()
    (folder / "index.html").write_bytes(PAGE)
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, keep_s=keep_s))
    folder.chmod(0o755)
    argv = [tool("nginx"), "-c", str(folder / "conf"), "-e", str(folder / "errors")]
    with serving(argv, lambda: connect(port)):
        yield port


def nginx(folder: Path) -> list[float]:
    """Return requests/s for the page by wrk's 50 connections."""
    with web(folder) as port:
        options = ["-t", "1", "-c", "50", "-d", f"{RUN_S:.0f}s", f"http://127.0.0.1:{port}/"]
        runs = [printed([tool("wrk"), *options], r"Requests/sec:\s*([\d.]+)") for _ in range(2)]
        return [figure for run in runs for figure in run]


def ordinary() -> Mapping[str, object]:
    """Return Popen's arguments for what root may not run."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


def postgres(folder: Path) -> list[float]:
    """Return transactions/s of pgbench -S by 8 clients over AF_UNIX."""
    folder.chmod(0o777)
    user: dict[str, object] = {**ordinary(), "cwd": folder, "umask": 0o077}
    quiet: dict[str, object] = {**user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    place = ["-h", str(folder), "-U", "bench"]
    data = folder / "data"

    def run(*argv: str) -> None:
        subprocess.run([tool(argv[0]), *argv[1:]], check=True, timeout=60, **quiet)  # type: ignore[call-overload]

    run("initdb", "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync")
    argv = [tool("postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
    with serving([*argv, "-F"], lambda: run("pg_isready", *place, "-d", "postgres"), **user):
        run("pgbench", "-i", "-q", *place, "postgres")
        load = [tool("pgbench"), "-S", "-c", "8", "-T", f"{2 * RUN_S:.0f}", *place, "postgres"]
        return printed(load, r"^tps = ([\d.]+)", **user)


def hold(folder: Path, count: int) -> list[float]:
    """Keep idle connections to nginx until the input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with web(folder, 3600) as port, contextlib.ExitStack() as held:
        for _ in range(count):
            there = held.enter_context(socket.create_connection(("127.0.0.1", port), START_S))
            there.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not there.recv(65536).endswith(PAGE):
                pass
        print("held", flush=True)
        sys.stdin.read()
    return []


LOADS: dict[str, Callable[..., list[float]]] = {
    "redis": redis,
    "nginx": nginx,
    "postgres": postgres,
    "hold": hold,
}


@contextlib.contextmanager
def crowd(wanted: bool) -> Iterator[None]:
    """Have each CPU compute, if that is wanted."""
    loop = ["timeout", "60", "sh", "-c", "while :; do :; done"]
    count = len(os.sched_getaffinity(0)) if wanted else 0
    busy = [subprocess.Popen(loop) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.terminate()
            process.wait()


def main() -> None:
    """Serve, load, and print the figures."""
    crowded = sys.argv[1] == "crowded"
    what, *rest = sys.argv[2 if crowded else 1 :]
    numbers = [int(argument) for argument in rest]
    with (
        crowd(crowded),
        tempfile.TemporaryDirectory(prefix="exo-serve-", ignore_cleanup_errors=True) as name,
    ):
        folder = Path(name)
        figures = LOADS[what](folder, *numbers)
    for figure in figures:
        print(f"{figure:.1f}")


if __name__ == "__main__":
    main()
