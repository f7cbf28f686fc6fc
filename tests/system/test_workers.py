"""The kernel process's workers in running instances: there when needed, and gone with it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from sidebyside import Launcher

DEADLINE_S = 20.0
# Says when it is ready; for each line that it gets it reads maps, and says so.
READER = """
echo ready
while read line; do
    cat /proc/self/maps /proc/self/smaps >/dev/null && echo read
done
"""
FOREVER = """
while :; do cat /proc/self/smaps >/dev/null; done &
while :; do cat /proc/self/maps >/dev/null; done &
echo ready
exec sleep 1000
"""


def threads(pid: int) -> list[int]:
    """Host tids of a process's threads but the first."""
    return sorted({int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()} - {pid})


def start(launcher: Launcher, script: str, *flags: str) -> subprocess.Popen[bytes]:
    """Start a shell script in an instance; it says when it is ready."""
    process = launcher.start(
        launcher.exo_command(["sh", "-c", script], flags),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def test_workers_are_there_when_needed(launcher: Launcher) -> None:
    """An instance has none until something would hold it up; then one pinned to each CPU."""
    process = start(launcher, READER)
    assert process.stdin
    assert process.stdout
    assert not threads(process.pid)
    for _ in range(2):
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"read\n"
        affinities = [os.sched_getaffinity(tid) for tid in threads(process.pid)]
        assert sorted(map(list, affinities)) == [[cpu] for cpu in sorted(os.sched_getaffinity(0))]
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0


def test_kernel_killed_with_workers_at_work(launcher: Launcher) -> None:
    """Nothing is left of it, nor of the guests."""
    process = start(launcher, FOREVER)
    while not threads(process.pid):
        os.sched_yield()
    os.kill(process.pid, signal.SIGKILL)
    assert process.stdout
    process.stdout.read()
    assert process.wait(DEADLINE_S) == -signal.SIGKILL


def test_programs_can_join_beside_workers(launcher: Launcher) -> None:
    """The kernel process starts a guest as well when it has threads."""
    name = f"workers-{os.getpid()}"
    process = start(launcher, READER, "--name", name)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"read\n"
    assert threads(process.pid)
    for _ in range(5):
        words = [str(launcher.exo_um), "exec", name, "sh", "-c", "echo joined"]
        assert launcher.command(words).stdout == b"joined\n"
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0
