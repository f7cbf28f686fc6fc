"""Guests killed by SIGKILL, at random moments and after each single instruction of the runtime.

What they leave must be nothing: the kernel region is then as at boot (tests/liveregion.py), with
every lock free and every block of its heap accounted for, and the instance goes on. The programs
that are killed, and the one that counts their instructions, stand in tests/system/storm.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from liveregion import LiveRegion, kernel_fds
from sidebyside import Launcher

HERE = Path(__file__).parent / "storm"
MODES = (
    "fork",
    "vfork",
    "racefork",
    "racevfork",
    "grow",
    "thread",
    "unshare",
    "legacy",
    "files",
    "fifo",
    "spawn",
    "orphan",
    "exec",
    "run",
)
SETTLED_S = 10.0
AT_ONCE = 4
KILLED_BY_SIGNAL = 9


@pytest.fixture(scope="session")
def programs(programs_folder: Path, require: Callable[[str], None]) -> dict[str, Path]:
    """The victim and stepkill, compiled."""
    require("gcc")
    found = {}
    for name in ("victim", "stepkill"):
        found[name] = programs_folder / name
        subprocess.run(
            ["gcc", "-O1", "-Wall", "-pthread", "-o", found[name], HERE / f"{name}.c"], check=True
        )
    return found


class Instance:
    """A running instance whose first guest starts victims on demand."""

    def __init__(self, launcher: Launcher, victim: Path) -> None:
        self.process = launcher.start(
            launcher.exo_command([str(victim)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.start("run")  # an answer means that it is up
        self.region = LiveRegion(self.process.pid)
        self.kill_inside()
        self.settle()
        self.fds = kernel_fds(self.process.pid)

    def ask(self, line: str) -> int:
        """Send a line to the first guest; return its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, mode: str) -> int:
        """Start a victim; return its pid in the instance."""
        pid = self.ask(mode)
        assert pid > 0, f"{mode} cannot be started: {os.strerror(-pid)}"
        return pid

    def kill_inside(self) -> None:
        """Have the first guest kill its victim."""
        assert self.ask("kill") == signal.SIGKILL

    def settle(self) -> None:
        """Wait until the region is as at boot; say what is not."""
        deadline = time.monotonic() + SETTLED_S
        while (problems := self.region.problems()) and time.monotonic() < deadline:
            time.sleep(0.002)
        assert not problems, [*problems, *self.region.where_all_are()]

    def end(self) -> None:
        """Close the first guest's input: it must end well, and leave the kernel nothing."""
        self.settle()
        assert kernel_fds(self.process.pid) == self.fds
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(20) == 0


Start = Callable[[], Instance]


@pytest.fixture
def instance(launcher: Launcher, programs: dict[str, Path]) -> Iterator[Start]:
    """A function that starts an instance; what is left of them is killed at the end."""
    launcher.fresh()
    started: list[Instance] = []

    def start() -> Instance:
        started.append(Instance(launcher, programs["victim"]))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        one.process.wait(20)


def symbols(exo_um: Path) -> dict[str, int]:
    """Addresses of the runtime's functions."""
    (guest,) = exo_um.parent.parent.glob("lib/python*/site-packages/exo_um/_native/exo-guest")
    lines = subprocess.run(
        ["nm", guest], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    words = [line.split() for line in lines]
    return {word[2]: int(word[0], 16) for word in words if len(word) == 3}


# Where a victim's instructions are counted from: its mode, a function, and whether the instructions
# are its own or those of the task, or program, that it makes next.
PLACES = (
    ("fork", "exo_task_create", "self", 3000),
    ("fork", "exo_fd_table_clone", "self", 3500),
    ("fork", "exo_task_free_process", "self", 1000),
    ("fork", "sys_clone", "follow", 2000),
    ("vfork", "sys_vfork", "self", 4000),
    ("vfork", "sys_vfork", "follow", 1500),
    ("racefork", "sys_clone", "self", 6000),
    ("racefork", "sys_clone", "follow", 2000),
    ("racevfork", "sys_vfork", "self", 6000),
    ("racevfork", "sys_vfork", "follow", 1500),
    ("grow", "sys_clone", "follow", 30000),
    ("thread", "exo_task_create", "self", 1500),
    ("thread", "sys_clone3", "follow", 3000),
    ("unshare", "sys_clone3", "follow", 12000),
    ("legacy", "exo_legacy_open", "self", 1200),
    ("files", "sys_close", "self", 1500),
    ("files", "sys_socketpair", "self", 1500),
    ("fifo", "sys_openat", "self", 3500),
    ("fifo", "sys_openat", "follow", 3500),
    ("spawn", "exo_task_free_process", "self", 1000),
    ("orphan", "sys_wait4", "self", 1500),
    ("exec", "sys_execve", "self", 6000),
    ("exec", "sys_execve", "follow", 9000),
)


def step_and_kill(
    one: Instance, programs: dict[str, Path], address: int, place: tuple[str, str, str, int], n: int
) -> str:
    """Kill a fresh victim after n instructions; return where it was, empty if it was too late."""
    mode, _, who, _ = place
    host_pid = one.region.host_tid(one.start(mode))
    argv = [str(programs["stepkill"]), str(host_pid), f"{address:x}", "3", str(n)]
    stepped = subprocess.run(
        argv + ([who] if who == "follow" else []),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert stepped.returncode in (0, 3), (place, n, stepped.stderr)
    with contextlib.suppress(ProcessLookupError):
        os.kill(host_pid, signal.SIGKILL)
    assert one.ask("wait") in (signal.SIGKILL, -1)
    return stepped.stdout.strip()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(place[:3]))
def test_killed_after_each_instruction(
    place: tuple[str, str, str, int],
    instance: Start,
    programs: dict[str, Path],
    exo_um: Path,
    storm: int,
) -> None:
    """A victim killed in the middle of the runtime leaves no lock, no slot and no block behind."""
    address = symbols(exo_um)[place[1]]
    generator = random.Random(place[1])
    one = instance()
    for _ in range(max(3, storm // 100)):
        n = generator.randrange(place[3])
        where = step_and_kill(one, programs, address, place, n)
        try:
            one.settle()
            one.start(place[0])
            one.kill_inside()
            one.settle()
        except AssertionError as error:
            raise AssertionError(f"killed after {n} instructions, at {where}: {error}") from error
    one.end()


def kill_from_outside(one: Instance, pid: int, moment: float) -> None:
    """Kill a victim by its host pid when it has lived so long, in seconds."""
    deadline = time.monotonic() + moment
    while not (host_pid := one.region.host_tid(pid)):
        assert one.process.poll() is None
    time.sleep(max(0.0, deadline - time.monotonic()))
    os.kill(host_pid, signal.SIGKILL)
    assert one.ask("wait") == signal.SIGKILL


def moment(generator: random.Random) -> float:
    """Seconds until a kill: mostly in the loader or soon after, seldom after long."""
    return generator.choice((0.0, 0.0005, 0.002, 0.005, 0.02)) * generator.random()


@pytest.mark.timeout(1200)
def test_guests_killed_at_random_moments(instance: Start, storm: int) -> None:
    """Victims killed by others and from outside, four instances at once."""
    generator = random.Random(1)
    instances = [instance() for _ in range(AT_ONCE)]
    for round_ in range(storm // AT_ONCE):
        alive = [(one, one.start(generator.choice(MODES))) for one in instances]
        for one, pid in alive:
            if generator.random() < 0.5:
                kill_from_outside(one, pid, moment(generator))
            else:
                time.sleep(moment(generator))
                one.kill_inside()
        if round_ % 10 == 0:
            for one in instances:
                one.settle()
    for one in instances:
        one.end()


def left_on_host() -> list[Path]:
    """Files of exo-um's own making; what else it might leave, conftest.py looks for."""
    folders = ("/dev/shm", "/tmp", "/run", "/var/tmp")
    return sorted(path for folder in folders for path in Path(folder).glob("exo-[uk]*"))


# A tree of guests that a kill of their kernel does not reach by itself: of another session and
# group, double forks, deaf to signals, stopped, computing, and in the middle of fork and exec.
FOREST = """
trap '' TERM HUP INT
(setsid sh -c 'while :; do :; done' &)
(setsid sh -c 'trap "" HUP; sleep 1000' &)
(sh -c 'kill -STOP $$' &)
for mode in fork exec vfork legacy spawn; do ({victim} $mode &); done
echo up
exec sleep 1000
"""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("way", ["command", "group", "early"])
def test_commands_killed(
    way: str, launcher: Launcher, programs: dict[str, Path], storm: int
) -> None:
    """SIGKILL of exo-um, of its process group, and while it starts: nothing is left."""
    launcher.fresh({"forest": FOREST.format(victim=programs["victim"])})
    lying_before = left_on_host()
    generator = random.Random(way)
    for _ in range(max(3, storm // (10 if way == "early" else 50))):
        process = launcher.start(
            launcher.exo_command(["/bin/sh", "forest"]), stdout=subprocess.PIPE
        )
        assert process.stdout
        if way == "early":
            time.sleep(generator.random() * 0.03)
        else:
            assert process.stdout.readline() == b"up\n"
            time.sleep(moment(generator))
        if way == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.stdout.read()  # every guest has it, so its end comes with their last's
        assert process.wait(20) == -signal.SIGKILL
        process.stdout.close()
    assert left_on_host() == lying_before
    assert launcher.exo(["/bin/echo", "well"]).stdout == b"well\n"
