"""exo-um run --platform ptrace: the same programs, the same results, nothing patched.

A part of the table here; all of it by: pytest tests/system --exo-flags '--platform ptrace'.
"""

from __future__ import annotations

import json
import operator
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from command_table import CASES
from platforms import check_command, check_guest
from sidebyside import Launcher, Pair
from terminals import stop_and_continue, terminal

FLAGS = ["--platform", "ptrace"]
PART = (
    "bash-arithmetic-strings-arrays",
    "bash-deep-pipeline",
    "bash-pid-relations",
    "bash-wait-interrupted-by-trap",
    "busybox-cat-stdin",
    "busybox-sh-pipes",
    "dash-background",
    "flock-between-processes",
    "node-worker-threads",
    "gcc-compile-and-run",
    "perl",
    "python-sqlite-module",
    "python-threads",
    "sqlite3-shell",
)
NAME = operator.itemgetter("name")
GUEST_PART = (
    *("clone", "exec_thread", "fault", "int80", "redzone", "setsid", "sigaction", "siglongjmp"),
    *("pipe_epoll", "signal_restart", "vfork", "wait4"),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [case for case in CASES if case["name"] in PART], ids=NAME)
def test_command(
    case: dict[str, Any], require: Callable[[str], None], both: Callable[..., Pair]
) -> None:
    check_command(case, require, both, FLAGS)


def test_unknown_platform(launcher: Launcher) -> None:
    outcome = launcher.exo(["true"], flags=["--platform", "magic"])
    assert (outcome.status, outcome.stdout) == (2, b"")
    line = b"exo-um run: --platform magic: not one of inproc, ptrace, preload; "
    assert outcome.stderr.startswith(line)


def test_nothing_is_patched_or_armed(launcher: Launcher) -> None:
    script = "grep -E '^(Seccomp|TracerPid):' /proc/self/status; exec true"
    outcome = launcher.exo(["bash", "-c", script], flags=[*FLAGS, "--stats", "stats.json"])
    assert outcome.stdout == b"TracerPid:\t0\nSeccomp:\t0\n"
    stats = json.loads((launcher.work / "stats.json").read_text())
    assert stats["sites"] == {"patched": 0, "remembered": 0, "trapping": 0}
    assert stats["calls"]["execve"]["calls"] == 2


@pytest.mark.parametrize("name", ["HUP", "KILL", "SEGV", "TERM", "TRAP", "USR1"])
def test_deadly_signals(launcher: Launcher, name: str) -> None:
    outcome = launcher.exo(["bash", "-c", f"kill -{name} $$; sleep 10"], flags=FLAGS)
    assert outcome.status == 128 + signal.Signals[f"SIG{name}"]


def test_breakpoints_are_the_guests(launcher: Launcher, require: Callable[[str], None]) -> None:
    require("gcc")
    source = (
        "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
        'static void trap(int n) { puts(n == SIGTRAP ? "trap" : "?"); exit(3); }\n'
        'int main(void) { signal(SIGTRAP, trap); __asm__("int3"); return 1; }\n'
    )
    launcher.fresh({"trap.c": source})
    assert launcher.command(["gcc", "-o", "trap", "trap.c"]).status == 0
    outcome = launcher.exo(["./trap"], flags=FLAGS)
    assert (outcome.stdout, outcome.status) == (b"trap\n", 3)


def started(launcher: Launcher, script: str) -> subprocess.Popen[bytes]:
    command = launcher.exo_command(["bash", "-c", script], FLAGS)
    process = launcher.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def tracer_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    return next(child for child in children if "exo_um.kernel.tracing" in " ".join(child.cmdline()))


def test_guests_die_with_their_tracer(launcher: Launcher) -> None:
    with started(launcher, "sleep 100 & echo ready; wait") as process:
        tracer_of(process).kill()
        assert process.wait(20) == 137
        assert process.stdout is not None
        assert process.stdout.read() == b""


def test_nothing_is_left_when_the_kernel_process_is_killed(launcher: Launcher) -> None:
    with started(launcher, "setsid sleep 100 & echo ready; wait") as process:
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == b""  # all who had it open are dead


def test_exec_joins_a_traced_instance(launcher: Launcher) -> None:
    folder = launcher.base / "run"
    folder.mkdir(mode=0o700)
    launcher.hand_over(folder)
    launcher.extra_env["XDG_RUNTIME_DIR"] = str(folder)
    launcher.exo_flags = [*launcher.exo_flags, "--name", "traced"]
    with started(launcher, "echo ready; exec sleep 100") as process:
        words = ["exec", "traced", "sh", "-c", "cat; ps -eo comm=; exit 7"]
        outcome = launcher.command([str(launcher.exo_um), *words], b"in\n")
        assert (outcome.stderr, outcome.status) == (b"", 7)
        lines = outcome.stdout.decode().split()
        assert lines[0] == "in"
        assert {"sleep", "sh", "ps"} <= set(lines)
        process.terminate()
        assert process.wait(20) == 143


def test_job_control(launcher: Launcher) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with terminal(launcher, launcher.exo_command(shell, FLAGS)) as (tty, process):
        stop_and_continue(tty)
        tty.type("\x03")
        tty.expect("ready> ")
        tty.type("exit 5\n")
        assert process.wait(20) == 5


def test_stopping_the_first_guest_stops_exo_um(launcher: Launcher) -> None:
    with started(launcher, "echo ready; kill -STOP $$; echo on; exit 4") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        assert process.wait(20) == 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", GUEST_PART)
def test_guest(name: str, require: Callable[[str], None], launcher: Launcher) -> None:
    check_guest(name, require, launcher, FLAGS)
