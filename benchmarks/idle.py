"""Percent of a CPU that an idle server with 1,000 connections uses: python -P idle.py [PREFIX...].

What counts is all that servers.py's `hold` and, if it is the prefix, `exo-um run` have running:
server, client, kernel process. To a hundredth of a percent, twice over two seconds.
"""

import select
import subprocess
import sys
import time
from pathlib import Path

CONNECTIONS = 1000
SPAN_S, SPANS = 2.0, 2


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_ns(pids: list[int]) -> int:
    """Return the CPU time of all threads of some processes in ns (schedstat, proc(5))."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files)


def pause(held: subprocess.Popen[bytes], seconds: float) -> None:
    """Let it be idle; exits if it says anything, or ends."""
    assert held.stdout is not None
    if select.select([held.stdout], [], [], seconds)[0]:
        sys.exit("the server is not idle")


def main() -> int:
    """Print percents."""
    script = str(Path(__file__).with_name("servers.py"))
    command = [*sys.argv[1:], sys.executable, "-P", script, "hold", str(CONNECTIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        if held.stdout.readline() != b"held\n":
            return 1
        pids = family(held.pid)
        pause(held, 0.1)  # what its start has left to do is not what is measured
        for _ in range(SPANS):
            began, used = time.monotonic_ns(), cpu_ns(pids)
            pause(held, SPAN_S)
            share = (cpu_ns(pids) - used) / (time.monotonic_ns() - began)
            print(f"{100 * share:.2f}")
        held.communicate()
    return held.returncode


if __name__ == "__main__":
    sys.exit(main())
