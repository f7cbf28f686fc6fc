"""The ends of an instance: signals to exo-um, its watch killed, too many processes."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from liveregion import LiveRegion
from sidebyside import Launcher

HERE = Path(__file__).parent
DEADLINE_S = 20.0
READY = b"ready\n"
# Of its own session, deaf to hang-ups, and never in need of its kernel; and one that always is.
OUTLAWS = """
(setsid sh -c 'trap "" HUP; while :; do :; done' &)
(setsid sh -c 'while :; do cat /proc/self/status >/dev/null; done' &)
echo ready
exec sleep 1000
"""


def children(pid: int) -> list[int]:
    """Host pids of the children of a host process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def watch_of(kernel_pid: int, dead: set[int]) -> int:
    """Host pid of an instance's exo-watch; waits until there is one that is not dead."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for pid in set(children(kernel_pid)) - dead:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{pid}/comm").read_text() == "exo-watch\n":
                    return pid
        time.sleep(0.001)
    pytest.fail("no exo-watch")


def start(launcher: Launcher, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start a command that says when it is ready; its stdout is then at its end with its last."""
    process = launcher.start(argv, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == READY
    return process


def test_the_watch_is_replaced(launcher: Launcher) -> None:
    """Each exo-watch that is killed has a successor, which ends the guests when it comes to it."""
    process = start(launcher, launcher.exo_command(["sh", "-c", OUTLAWS]))
    dead: set[int] = set()
    for _ in range(3):
        pid = watch_of(process.pid, dead)
        os.kill(pid, signal.SIGKILL)
        dead.add(pid)
    watch_of(process.pid, dead)
    process.kill()
    assert process.stdout
    process.stdout.read()
    assert process.wait(DEADLINE_S) == -signal.SIGKILL


def test_kernel_and_watch_killed(launcher: Launcher) -> None:
    """Then the guests end each other: the first that needs its kernel sees that it is dead."""
    process = start(launcher, launcher.exo_command(["sh", "-c", OUTLAWS]))
    watch = watch_of(process.pid, set())
    os.kill(process.pid, signal.SIGSTOP)  # or it would start another one
    os.kill(watch, signal.SIGKILL)
    process.kill()
    assert process.stdout
    process.stdout.read()
    assert process.wait(DEADLINE_S) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_end_all(launcher: Launcher, number: signal.Signals) -> None:
    """The first guest ends by it, and everybody with it; the status is a shell's."""
    process = start(launcher, launcher.exo_command(["sh", "-c", OUTLAWS]))
    process.send_signal(number)
    assert process.stdout
    process.stdout.read()
    assert process.wait(DEADLINE_S) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_the_guests(launcher: Launcher, number: signal.Signals) -> None:
    """A guest that handles a signal to exo-um goes on, as it would natively."""
    script = (
        f"trap 'echo caught; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.01; done"
    )
    process = start(launcher, launcher.exo_command(["sh", "-c", script]))
    process.send_signal(number)
    assert process.stdout
    assert process.stdout.read() == b"caught\n"
    assert process.wait(DEADLINE_S) == 5


def test_nohup(launcher: Launcher) -> None:
    """Hang-ups do not reach a guest of nohup's; SIGTERM does."""
    argv = ["nohup", *launcher.exo_command(["sh", "-c", "echo ready; read x; exit 3"])]
    process = launcher.start(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == READY
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 3


BOMB = """
import os, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
leash, end = os.pipe()
made = 0
try:
    while True:
        if not os.fork():
            os.close(end)
            os.read(leash, 1)
            os._exit(0)
        made += 1
except OSError as error:
    print(error.strerror, made > 20)
os.close(end)
reaped = 0
try:
    while os.wait():
        reaped += 1
except ChildProcessError:
    print(reaped == made)
print(os.waitstatus_to_exitcode(os.spawnvp(os.P_WAIT, "true", ["true"])))
"""


def tasks_of(uid: int) -> int:
    """How many threads a user has on the host: what RLIMIT_NPROC counts."""
    found = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == uid:
                found += process.num_threads()
    return found


# Runs no other test: what counts at RLIMIT_NPROC is all that a user has.
LONELY = "games"


def become_lonely(launcher: Launcher) -> None:
    """Have commands that would run as an ordinary user run as one with no other task."""
    if os.getuid() == 0 and launcher.user:
        launcher.user = LONELY
        launcher.hand_over(launcher.base)


@pytest.mark.xdist_group("many tasks")
def test_fork_bomb_up_to_the_users_limit(launcher: Launcher) -> None:
    """At RLIMIT_NPROC fork gives EAGAIN, for root too if that lowers it and is no longer root."""
    become_lonely(launcher)
    drop: list[str] = []
    uid = pwd.getpwnam(launcher.user).pw_uid if launcher.user else os.getuid()
    if uid == 0:
        uid = 65533
        drop = ["setpriv", "--reuid", str(uid), "--clear-groups"]
    # Where the tests have one user only, other tests' tasks come and go meanwhile.
    pair = launcher.both([*drop, "python3", "-c", BOMB, str(tasks_of(uid) + 300)])
    said = (pair.native.stdout, pair.native.stderr)
    assert said == (b"Resource temporarily unavailable True\nTrue\n0\n", b"")
    assert not (difference := pair.difference()), difference


@pytest.mark.xdist_group("many tasks")
def test_no_slot_left(launcher: Launcher, require: Callable[[str], None]) -> None:
    """With all task slots taken a thread gives EAGAIN; then the instance goes on, empty again."""
    require("gcc")
    launcher.fresh()
    crowd = launcher.work / "crowd"
    subprocess.run(["gcc", "-pthread", "-o", crowd, HERE / "storm" / "crowd.c"], check=True)
    process = launcher.start(
        launcher.exo_command(["./crowd"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdin
    # Every slot but the kernel's and the first thread's.
    assert process.stdout.readline() == b"16382 Resource temporarily unavailable\n"
    region = LiveRegion(process.pid)
    assert len(region.slots()) == region.slot_count - 1
    process.stdin.write(b"\n")
    process.stdin.flush()
    deadline = time.monotonic() + DEADLINE_S
    while region.problems() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not region.problems()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 4
