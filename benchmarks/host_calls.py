"""Calls that reach the host per operation: python -m benchmarks.host_calls HOW WHAT.

WHAT is a kind of benchmarks/guest/sock.c, whose operation is a message, or redis, whose operation
is a request. Counted are two runs, one with more operations; the difference is theirs, not the
start's. HOW: native or strace, where strace counts from outside, or stats, where exo-um counts.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.job import find, guest

EXO_UM = str(Path(sys.executable).with_name("exo-um"))
SERVERS = str(Path(__file__).with_name("servers.py"))
MESSAGES, MOST_MESSAGES = 0, 2  # to and fro per sample of sock.c
PER_MESSAGES = 2 * 5500
REQUESTS, MOST_REQUESTS = 1000, 3000
PER_REQUESTS = 4  # kinds of them
TOTAL = re.compile(r"^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s.*total$", re.MULTILINE)


def command_of(what: str, count: int) -> list[str]:
    """Return what makes so many operations (times a constant)."""
    if what == "redis":
        return [sys.executable, "-P", SERVERS, "redis", "1", str(count)]
    return [guest("sock"), "ping", what, "64", "1", str(count)]


def calls_of(how: str, command: list[str], file: Path) -> int:
    """Run a command; return how many calls have reached the host."""
    if how == "stats":
        argv = [EXO_UM, "run", "--stats", str(file), *command]
    else:
        argv = [find("strace"), "-f", "-c", "-o", str(file)]
        argv += [EXO_UM, "run", *command] if how == "strace" else command
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=60)
    if how == "stats":
        return int(json.loads(file.read_text())["host_calls"])
    found = TOTAL.search(file.read_text())
    assert found is not None
    return int(found[1])


def main() -> None:
    """Print calls per operation."""
    how, what = sys.argv[1:]
    counts, scale = (MESSAGES, MOST_MESSAGES), PER_MESSAGES
    if what == "redis":
        counts, scale = (REQUESTS, MOST_REQUESTS), PER_REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "counted"
        few, many = (calls_of(how, command_of(what, count), file) for count in counts)
    print(f"{(many - few) / (scale * (counts[1] - counts[0])):.4f}")


if __name__ == "__main__":
    main()
