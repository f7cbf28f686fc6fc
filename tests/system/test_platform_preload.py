"""libexo_preload.so, exo-um run --platform preload: dynamic programs that get the runtime late.

A part of the table here; all of it, but what is static, by:
pytest tests/system/test_commands.py --exo-flags '--platform preload'.
"""

from __future__ import annotations

import json
import operator
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_table import CASES
from platforms import check_command, check_guest
from sidebyside import Launcher, Outcome, Pair
from terminals import stop_and_continue, terminal

import exo_um
from exo_um.bindings import lib
from exo_um.bindings.region import RegionView

FLAGS = ["--platform", "preload"]
LIBRARY = Path(exo_um.__file__).parent / "_native" / "libexo_preload.so"
PART = (
    "bash-deep-pipeline",
    "bash-pid-relations",
    "bash-wait-interrupted-by-trap",
    "dash-background",
    "flock-between-processes",
    "node-worker-threads",
    "gcc-compile-and-run",
    "python-threads",
    "sqlite3-shell",
)
NAME = operator.itemgetter("name")
GUEST_PART = (
    *("clone", "exec_thread", "fault", "orphan", "redzone", "setsid", "sigaction", "siglongjmp"),
    *("pipe_epoll", "pthread_cancel", "pthread_mutex_pi", "pthread_robust", "signal_restart"),
    *("sigaltstack", "socketpair", "vfork", "wait4", "xstate"),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [case for case in CASES if case["name"] in PART], ids=NAME)
def test_command(
    case: dict[str, Any], require: Callable[[str], None], both: Callable[..., Pair]
) -> None:
    check_command(case, require, both, FLAGS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", GUEST_PART)
def test_guest(name: str, require: Callable[[str], None], launcher: Launcher) -> None:
    check_guest(name, require, launcher, FLAGS)


def preloaded(launcher: Launcher, script: str, **variables: str) -> Outcome:
    """What a script prints in a shell that libexo_preload.so was preloaded into."""
    settings = {"LD_PRELOAD": str(LIBRARY), **variables}
    words = [f"{name}={value}" for name, value in settings.items()]
    return launcher.command(["env", *words, "bash", "-c", script])


def test_the_variable_is_enough(launcher: Launcher) -> None:
    outcome = preloaded(launcher, "uname -r; ps -o pid=,comm= -p 2; :")
    release, shell = outcome.stdout.decode().splitlines()
    assert release.endswith("-exo-um")
    assert shell.split() == ["2", "bash"]
    assert outcome.stderr == b""


def test_the_program_does_not_see_it(launcher: Launcher) -> None:
    outcome = preloaded(
        launcher, "env | grep -E 'PRELOAD|EXO_'", LD_PRELOAD=f"{LIBRARY}:libc.so.6", EXO_NET="exo"
    )
    assert outcome.stdout.decode().splitlines() in (
        ["LD_PRELOAD=libc.so.6", f"EXO_TEST_MARK={launcher.mark}"],
        [f"EXO_TEST_MARK={launcher.mark}", "LD_PRELOAD=libc.so.6"],
    )


ASK = "read word < /proc/self/stat"  # only the kernel process can make that file


def started(launcher: Launcher, script: str) -> subprocess.Popen[bytes]:
    """A preloaded shell that has said ready."""
    process = launcher.start(
        launcher.exo_command(["dash", "-c", script], FLAGS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def region_of(process: subprocess.Popen[bytes]) -> Any:
    """The region that a preloaded program has made."""
    region = os.open(f"/proc/{process.pid}/fd/{lib.EXO_FD_KR}", os.O_RDONLY)
    return RegionView(region).kr


def end(process: subprocess.Popen[bytes]) -> int:
    """Let a shell go on that reads a line, and return its status."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    process.stdin.close()
    process.stdout.close()
    return process.wait(20)


def test_no_kernel_process_without_need(launcher: Launcher) -> None:
    """A program that makes no process and no legacy call starts none."""
    process = started(launcher, "cd /; echo ready; read line; exit 3")
    assert region_of(process).kernel_state == lib.EXO_KERNEL_ABSENT
    assert not psutil.Process(process.pid).children()
    assert end(process) == 3


def test_the_kernel_process_goes_with_the_last_guest(launcher: Launcher) -> None:
    script = f"(trap '' HUP; exec sleep 0.5) > /dev/null & {ASK}; echo ready; read line"
    process = started(launcher, script)
    companion = psutil.Process(region_of(process).companion.host_pid)
    assert companion.cmdline()[-1] == "companion"
    assert companion.terminal() is None
    assert end(process) == 0
    companion.wait(20)


def test_guests_end_with_their_kernel_process(launcher: Launcher) -> None:
    """Those that need it, as on other platforms; one of them says why."""
    process = started(launcher, f"{ASK}; echo ready; read line; {ASK}")
    psutil.Process(region_of(process).companion.host_pid).kill()
    assert process.stderr
    assert end(process) == -signal.SIGKILL
    line = b"exo-um: the kernel process of these programs was killed: they end, too\n"
    assert process.stderr.read() == line


def test_a_launcher_that_is_gone(launcher: Launcher) -> None:
    """What cannot be done without a kernel process fails, once with a line; the rest goes on."""
    folder = launcher.work / "a" / "b" / "c" / "d" / "e"
    folder.mkdir(parents=True)
    for name in ("libexo_preload.so", "exo-guest"):
        shutil.copy(LIBRARY.with_name(name), folder)
    launcher.hand_over(launcher.work)
    code = "read line < /proc/self/status; echo $(exit 4); echo $?; cd /; pwd"
    outcome = preloaded(launcher, code, LD_PRELOAD=str(folder / "libexo_preload.so"))
    assert outcome.stdout == b"\n0\n/\n"
    assert outcome.stderr.count(b"the kernel process cannot be started") >= 1


def test_without_exo_guest_it_is_plain_linux(launcher: Launcher) -> None:
    alone = launcher.work / "libexo_preload.so"
    shutil.copy(LIBRARY, alone)
    launcher.hand_over(launcher.work)
    outcome = preloaded(launcher, "exec uname -r", LD_PRELOAD=str(alone))
    assert outcome.stdout.decode() == f"{os.uname().release}\n"
    line = f"exo-um: libexo_preload.so: cannot open {alone.with_name('exo-guest')}"
    assert outcome.stderr.decode() == f"{line}; going on without exo-um\n"


def test_loaded_late(launcher: Launcher) -> None:
    """By dlopen(3), beside other threads: nothing is changed."""
    code = (
        "import ctypes, os, threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        f"ctypes.CDLL({str(LIBRARY)!r})\nprint(os.uname().release)"
    )
    outcome = launcher.command(["python3", "-c", code])
    assert outcome.stdout.decode() == f"{os.uname().release}\n"
    line = b"exo-um: libexo_preload.so: the program has threads already; going on without exo-um\n"
    assert outcome.stderr == line


@pytest.mark.parametrize("name", ["HUP", "KILL", "SEGV", "TERM", "USR1"])
def test_deadly_signals(launcher: Launcher, name: str) -> None:
    outcome = launcher.exo(["bash", "-c", f"kill -{name} $$; sleep 10"], flags=FLAGS)
    assert outcome.status == 128 + signal.Signals[f"SIG{name}"]


def test_stats(launcher: Launcher) -> None:
    """Written before the program's end is seen, by the option or the variable."""
    code = "cd /; ls > /dev/null; exit 6"
    outcome = launcher.exo(["bash", "-c", code], flags=[*FLAGS, "--stats", "stats.json"])
    assert outcome.status == 6
    assert preloaded(launcher, code, EXO_STATS="more.json").status == 6
    for name in ("stats.json", "more.json"):
        stats = json.loads((launcher.work / name).read_text())
        assert stats["exit_status"] == 6
        assert stats["processes"] == 1
        assert stats["calls"]["chdir"]["calls"] == 1
        assert stats["sites"]["patched"] > 5


@pytest.mark.parametrize("value", ["on", "off"])
def test_pipes_as_the_variables_say(
    launcher: Launcher, require: Callable[[str], None], value: str
) -> None:
    """Pages are handed over, and bells spared, or neither is."""
    flags = [*FLAGS, "--stats", "stats.json", "--zero-copy", value, "--batch", value]
    check_guest("relay", require, launcher, flags)
    written = launcher.work / "stats.json"
    by_option = json.loads(written.read_text())
    variables = {"EXO_STATS": "more.json", "EXO_ZERO_COPY": value, "EXO_BATCH": value}
    assert preloaded(launcher, "exec ./relay", **variables).status == 0
    by_variable = json.loads(written.with_name("more.json").read_text())
    for stats in (by_option, by_variable):
        assert (stats["zero_copy"]["handed_pages"] > 0) == (value == "on")
    if value == "off":
        check_guest("lines", require, launcher, flags)
        assert json.loads(written.read_text())["batch"]["bells_spared"] == 0


def test_stats_of_the_killed(launcher: Launcher) -> None:
    outcome = launcher.exo(["bash", "-c", "kill -9 $$"], flags=[*FLAGS, "--stats", "stats.json"])
    assert outcome.status == 137
    written = launcher.work / "stats.json"
    deadline = time.monotonic() + 20
    while not written.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert json.loads(written.read_text())["calls"]["kill"]["calls"] == 1


def refused(launcher: Launcher, argv: list[str], *flags: str) -> tuple[int, str]:
    outcome = launcher.exo(argv, flags=[*FLAGS, *flags])
    assert outcome.stdout == b""
    return outcome.status, outcome.stderr.decode()


def test_what_cannot_be_preloaded(launcher: Launcher, require: Callable[[str], None]) -> None:
    require("gcc")
    launcher.fresh({"main.c": "int main(void) { return 0; }", "script": "#!./static\n"})
    assert launcher.command(["gcc", "-static", "-o", "static", "main.c"]).status == 0
    why = "a static program cannot be preloaded; leave --platform preload out\n"
    assert refused(launcher, ["./static"]) == (126, f"exo-um: ./static: {why}")
    assert refused(launcher, ["./script"]) == (126, f"exo-um: ./script: {why}")
    assert refused(launcher, ["./nothing"]) == (
        127,
        "exo-um: ./nothing: no such file or directory\n",
    )
    assert refused(launcher, ["./main.c"]) == (126, "exo-um: ./main.c: permission denied\n")
    for name, value in (("name", "x"), ("intercept", "seccomp"), ("placement", "advice")):
        status, line = refused(launcher, ["true"], f"--{name}", value)
        assert status == 2
        assert line.startswith(f"exo-um run: --{name} is not for --platform preload; ")


def test_static_programs_run_from_within(
    launcher: Launcher, require: Callable[[str], None]
) -> None:
    """What a preloaded program executes may be static, too."""
    require("busybox")
    pair = launcher.both(["bash", "-c", "busybox echo hi; busybox sh -c 'exit 5'"], flags=FLAGS)
    assert not (difference := pair.difference()), difference


def test_job_control(launcher: Launcher) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with terminal(launcher, launcher.exo_command(shell, FLAGS)) as (tty, process):
        stop_and_continue(tty)
        tty.type("\x03")
        tty.expect("ready> ")
        tty.type("exit 5\n")
        assert process.wait(20) == 5
