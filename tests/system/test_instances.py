"""exo-um ps, kill, exec and top on running instances, in a run directory of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sidebyside import Launcher, Outcome

Run = Callable[..., "Instance"]


class Instance:
    """A running instance whose first program has said that it is there."""

    def __init__(self, launcher: Launcher, name: str, script: str, flags: list[str]) -> None:
        self.launcher = launcher
        self.name = name
        guest = ["bash", "-c", f"echo ready; {script}"]
        command = launcher.exo_command(guest, ["--name", name, *flags])
        self.process = launcher.start(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> int:
        self.process.kill() if self.process.poll() is None else None
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def private(launcher: Launcher) -> Launcher:
    folder = launcher.base / "run"
    folder.mkdir(mode=0o700)
    launcher.hand_over(folder)
    launcher.extra_env["XDG_RUNTIME_DIR"] = str(folder)
    return launcher


@pytest.fixture
def run(private: Launcher) -> Iterator[Run]:
    started: list[Instance] = []

    def start(script: str, name: str = "one", *flags: str) -> Instance:
        started.append(Instance(private, name, script, list(flags)))
        return started[-1]

    yield start
    for instance in started:
        if instance.process.poll() is None:
            instance.process.terminate()
        instance.process.communicate(timeout=20)


def exo(launcher: Launcher, *words: str, stdin: bytes = b"") -> Outcome:
    return launcher.command([str(launcher.exo_um), *words], stdin)


def tasks(launcher: Launcher, *words: str) -> list[dict[str, Any]]:
    outcome = exo(launcher, "ps", "--json", *words)
    assert (outcome.status, outcome.stderr) == (0, b"")
    found: list[dict[str, Any]] = json.loads(outcome.stdout)
    return found


def entries(launcher: Launcher) -> list[str]:
    folder = Path(launcher.extra_env["XDG_RUNTIME_DIR"]) / "exo-um"
    return sorted(path.name for path in folder.iterdir())


def test_nothing_runs(private: Launcher) -> None:
    outcome = exo(private, "ps")
    assert (outcome.status, outcome.stderr) == (0, b"")
    assert outcome.stdout.split()[:3] == [b"INSTANCE", b"PID", b"PPID"]
    assert outcome.stdout.count(b"\n") == 1
    assert tasks(private) == []
    assert exo(private, "top", "--once").status == 0


@pytest.mark.parametrize("command", [["ps"], ["kill"], ["exec"], ["top", "--once"]], ids=" ".join)
def test_no_such_instance(private: Launcher, command: list[str]) -> None:
    program = ["true"] if command == ["exec"] else []
    outcome = exo(private, *command, "nonesuch", *program)
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert outcome.stderr == b"exo-um: no such instance: nonesuch; exo-um ps lists them\n"


@pytest.mark.parametrize("command", ["ps", "kill", "exec", "top"])
def test_help_has_examples(private: Launcher, command: str) -> None:
    outcome = exo(private, command, "--help")
    assert (outcome.status, outcome.stderr) == (0, b"")
    assert f"exo-um {command} ".encode() in outcome.stdout.partition(b"Examples:")[2]


def test_ps_shows_what_guests_see(private: Launcher, run: Run) -> None:
    run("sleep 100 & setsid sh -c 'sleep 100' & wait")
    while len(outside := tasks(private, "one")) < 4:
        pass
    words = ["exec", "one", "ps", "-eo", "pid=,ppid=,pgid=,sid=,comm="]
    lines = [line.split() for line in exo(private, *words).stdout.decode().splitlines()]
    inside = {tuple(map(int, fields[:4])) for fields in lines if fields[4] != "ps"}
    assert {(t["pid"], t["ppid"], t["pgid"], t["sid"]) for t in outside} == inside
    assert [task["pid"] for task in outside] == sorted(task["pid"] for task in outside)
    assert outside[0]["command"].startswith("exo-um run ")
    assert outside[1]["command"].startswith("bash -c echo ready")


def test_zombies_and_threads(private: Launcher, run: Run) -> None:
    script = (
        "import os, threading, sys\n"
        "if os.fork() == 0: os._exit(3)\n"
        "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)\n"
        "stop = threading.Event()\n"
        "for _ in range(3): threading.Thread(target=stop.wait).start()\n"
        "print('up', flush=True)\n"
        "stop.wait()\n"
    )
    private.fresh({"threads.py": script})
    instance = run("exec python3 threads.py")
    assert instance.process.stdout is not None
    assert instance.process.stdout.readline() == b"up\n"
    found = {task["pid"]: task for task in tasks(private, "one")}
    zombie = next(task for task in found.values() if task["state"] == "Z")
    assert (zombie["ppid"], zombie["rss"]) == (2, 0)
    assert zombie["command"].endswith("<defunct>")
    assert found[2]["threads"] == 4
    threads = [task for task in tasks(private, "-t", "one") if task["pid"] == 2]
    assert len({task["tid"] for task in threads}) == 4


def test_instances_come_and_go(private: Launcher, run: Run) -> None:
    one, two = run("sleep 100", "one"), run("sleep 100", "two")
    overview = json.loads(exo(private, "ps", "-i", "--json").stdout)
    assert [row["instance"] for row in overview] == entries(private) == ["one", "two"]
    assert overview[1]["host_pid"] == two.process.pid
    taken = private.exo(["true"], flags=["--name", "two"])
    assert (taken.status, taken.stdout) == (125, b"")
    assert b"--name two: an instance of that name is running" in taken.stderr
    two.process.terminate()
    assert two.process.wait(20) == 143
    assert entries(private) == ["one"]
    one.process.send_signal(signal.SIGKILL)
    one.process.wait(20)
    assert entries(private) == ["one"]
    assert tasks(private) == []
    assert entries(private) == []


def test_dead_name_is_free_at_once(private: Launcher, run: Run) -> None:
    first = run("sleep 100")
    first.process.kill()
    first.process.wait(20)
    run("sleep 100")
    assert len(tasks(private, "one")) == 2


def test_unnamed_instances_are_found(private: Launcher) -> None:
    command = f"{private.exo_um} ps -i --json"
    seen = json.loads(private.exo(["sh", "-c", command]).stdout)
    assert len(seen) == 1
    assert entries(private) == []


def test_a_run_directory_of_others_is_not_used(private: Launcher) -> None:
    folder = Path(private.extra_env["XDG_RUNTIME_DIR"])
    (folder / "exo-um").mkdir(mode=0o755)
    private.hand_over(folder)
    assert private.exo(["echo", "hi"]).stdout == b"hi\n"
    named = private.exo(["echo", "hi"], flags=["--name", "one"])
    assert (named.status, named.stdout) == (125, b"")
    assert exo(private, "ps").status == 1


def test_kill_reaches_the_programs_started(private: Launcher, run: Run) -> None:
    instance = run("trap 'echo term; exit 7' TERM; sleep 100 & wait")
    assert exo(private, "kill", "one").status == 0
    assert instance.process.wait(20) == 7
    assert instance.process.stdout is not None
    assert instance.process.stdout.read() == b"term\n"


def test_kill_by_pid(private: Launcher, run: Run) -> None:
    instance = run("sleep 100 & echo $!; wait $!; echo status $?")
    assert instance.process.stdout is not None
    pid = instance.process.stdout.readline().decode().strip()
    outcome = exo(private, "kill", "-s", "USR1", "one", "77777", pid)
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert outcome.stderr == b"exo-um kill: no such process in one: 77777\n"
    assert instance.process.wait(20) == 0
    assert instance.process.stdout.read() == b"status 138\n"


def test_kill_all(private: Launcher, run: Run) -> None:
    instance = run("trap '' TERM; (trap - TERM; exec sleep 100); echo status $?")
    while len(tasks(private, "one")) < 3:
        pass
    assert exo(private, "kill", "-s", "15", "--all", "one").status == 0
    assert instance.process.wait(20) == 0


def test_kill_pid_1_ends_the_instance(private: Launcher, run: Run) -> None:
    instance = run("sleep 100")
    assert exo(private, "kill", "-s", "KILL", "one", "1").status == 0
    assert instance.process.wait(20) == -9


@pytest.mark.parametrize(
    "words", [["-s", "NONE", "one"], [], ["--all", "one", "5"], ["one", "0"]], ids=" ".join
)
def test_kill_wrong_usage(private: Launcher, words: list[str]) -> None:
    outcome = exo(private, "kill", *words)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert outcome.stderr.count(b"\n") == 1


def test_kill_lists_signals(private: Launcher) -> None:
    assert b"15 TERM\n" in exo(private, "kill", "-l").stdout


def test_exec_has_streams_directory_environment(private: Launcher, run: Run) -> None:
    run("sleep 100")
    (private.work / "inner").mkdir()
    private.hand_over(private.work)
    private.extra_env["KEPT"] = "kept"
    script = 'cat; echo "$KEPT,$A,$0,$1,"; pwd; umask; echo err >&2; exit 9'
    words = ["exec", "-e", "A=b=c", "-w", "inner", "one", "sh", "-c", script, "zero", ""]
    outcome = exo(private, *words, stdin=b"in\n")
    assert outcome.stdout.decode() == f"in\nkept,b=c,zero,,\n{private.work}/inner\n0022\n"
    assert (outcome.stderr, outcome.status) == (b"err\n", 9)


def test_exec_is_a_child_of_pid_1_in_its_own_session(private: Launcher, run: Run) -> None:
    run("sleep 100")
    outcome = exo(private, "exec", "one", "sh", "-c", "echo $$; ps -eo pid=,ppid=,pgid=,sid=,comm=")
    pid, *rows = outcome.stdout.decode().splitlines()
    table = {fields[0]: fields[1:] for fields in map(str.split, rows)}
    assert table[pid] == ["1", pid, pid, "sh"]
    assert table["2"][0] == "1"
    assert {"1", "2", pid} < set(table)


def test_exec_has_no_death_signal_of_its_own(private: Launcher, run: Run) -> None:
    run("sleep 100")
    script = (
        "import ctypes\n"
        "prctl, got = ctypes.CDLL(None).prctl, ctypes.c_int(-1)\n"
        "for sig in (None, 15, 0):\n"
        "    if sig is not None: prctl(1, sig)\n"
        "    prctl(2, ctypes.byref(got)); print(got.value)\n"
    )
    outcome = exo(private, "exec", "one", "/usr/bin/python3", "-c", script)
    assert outcome.stdout == b"0\n15\n0\n"


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM"])
def test_exec_killed_by_signal(private: Launcher, run: Run, name: str) -> None:
    run("sleep 100")
    outcome = exo(private, "exec", "one", "bash", "-c", f"kill -{name} $$")
    assert outcome.status == 128 + signal.Signals[f"SIG{name}"]


def test_exec_of_what_cannot_run(private: Launcher, run: Run) -> None:
    run("sleep 100")
    (private.work / "plain").write_text("text")
    for program, status in (("nonesuch", 127), ("./nonesuch", 127), ("./plain", 126)):
        outcome = exo(private, "exec", "one", program)
        assert (outcome.status, outcome.stdout) == (status, b"")
        assert outcome.stderr.count(b"\n") == 1
    assert exo(private, "exec", "-w", "nonesuch", "one", "true").status == 125
    assert exo(private, "exec", "one").status == 2


def test_exec_detached(private: Launcher, run: Run) -> None:
    instance = run("sleep 100")
    outcome = exo(private, "exec", "-d", "one", "sleep", "100")
    pid = int(outcome.stdout)
    found = {task["pid"]: task for task in tasks(private, "one")}
    assert found[pid]["command"] == "sleep 100"
    instance.process.terminate()
    assert instance.process.wait(20) == 143


def test_exec_passes_signals_on(private: Launcher, run: Run) -> None:
    run("sleep 100")
    script = "trap 'echo usr1; kill $!; exit 4' USR1; sleep 100 & echo up; wait"
    command = [str(private.exo_um), "exec", "one", "bash", "-c", script]
    with private.start(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(20) == 4
        assert process.stdout.read() == b"usr1\n"


def test_exec_whose_caller_is_killed_is_hung_up(private: Launcher, run: Run) -> None:
    run("sleep 100")
    script = "trap 'echo hup > hup; exit' HUP; echo up; while :; do read -t 0.1 <> <(:); done"
    command = [str(private.exo_um), "exec", "one", "bash", "-c", script]
    with private.start(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
    while len(tasks(private, "one")) > 2:
        pass
    assert (private.work / "hup").read_text() == "hup\n"


def test_instance_ends_with_its_first_program(private: Launcher, run: Run) -> None:
    instance = run("sleep 100")
    command = [str(private.exo_um), "exec", "one", "bash", "-c", "echo up; sleep 100"]
    with private.start(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        instance.process.terminate()
        assert instance.process.wait(20) == 143
        assert process.wait(20) == 137
    assert entries(private) == []


def test_top_counts_calls(private: Launcher, run: Run) -> None:
    run("while :; do /bin/true; done", "one", "--stats", "stats.json")
    outcome = exo(private, "top", "-b", "-n", "2", "-d", "0.2", "one")
    first, second = outcome.stdout.decode().split("\n\n")
    assert first.startswith("one: ")
    assert "calls/s: fast " in second
    assert "COMMAND" in first
    assert "exo-um run --name one" in second


def test_top_needs_a_terminal(private: Launcher) -> None:
    outcome = exo(private, "top")
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert b"--once" in outcome.stderr


def test_stopped_instance_can_be_seen_and_killed(private: Launcher, run: Run) -> None:
    instance = run("sleep 100")
    os.kill(instance.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, instance.process.pid, os.WSTOPPED)
    try:
        assert [task["state"] for task in tasks(private, "one")] == ["T", "S"]
        assert exo(private, "kill", "-s", "KILL", "one").status == 0
        refused = exo(private, "exec", "one", "true")
        assert (refused.status, refused.stdout) == (125, b"")
        assert refused.stderr == b"exo-um: instance one is stopped\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(instance.process.pid, signal.SIGCONT)
    assert instance.process.wait(20) == 137
