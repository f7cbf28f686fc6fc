"""exo-um trace -p and --instance: those who run already are traced, and let go unharmed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sidebyside import Launcher

NAME = f"traced-{os.getpid()}"
# Tells its pid, then for each line that it reads makes a call that can be told from others.
CODE = """
import os, sys
print(os.getpid(), flush=True)
for i, line in enumerate(sys.stdin):
    os.access(f'/nowhere/{i}', 0)
    print('did', i, flush=True)
"""


class Subject:
    """A program that acts when told to."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*command, "/usr/bin/python3", "-u", "-c", CODE],
            stdin=-1,
            stdout=-1,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def act(self) -> str:
        """Have it make a call; return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self) -> int:
        """Have it end by itself."""
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def inside(launcher: Launcher) -> Iterator[Subject]:
    """A program in an instance of its own name."""
    command = launcher.exo_command(["x"])
    run = command[: command.index("run") + 1]
    it = Subject([*run, "--name", NAME])
    yield it
    it.process.kill()
    it.process.wait()


def started(command: list[str], out: Path, said: str) -> subprocess.Popen[str]:
    """A tracer that has begun: it has told so, or written a first line."""
    tracer = subprocess.Popen([*command, "-o", str(out)], stderr=-1, text=True)
    assert tracer.stderr is not None
    assert said in tracer.stderr.readline()
    return tracer


def test_a_host_process_is_attached_to_and_let_go(tmp_path: Path, launcher: Launcher) -> None:
    """By ptrace(2): what it does meanwhile is told, and it goes on afterwards."""
    exo = launcher.exo_command(["x"])[0]
    subject, out = Subject([]), tmp_path / "out"
    tracer = started([exo, "trace", "-p", str(subject.pid)], out, f"{subject.pid} attached")
    assert subject.act() == "did 0\n"
    tracer.send_signal(signal.SIGINT)
    assert f"Process {subject.pid} detached" in tracer.communicate(timeout=20)[1]
    assert subject.act() == "did 1\n"
    assert subject.end() == 0
    text = out.read_text()
    assert 'access("/nowhere/0", F_OK)' in text
    assert "/nowhere/1" not in text
    gone = subprocess.run(
        [exo, "trace", "-p", str(subject.pid)], capture_output=True, text=True, check=False
    )
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "No such process" in gone.stderr


@pytest.mark.parametrize("one", [False, True], ids=["all", "pid"])
def test_an_instance_is_attached_to_and_let_go(
    tmp_path: Path, launcher: Launcher, inside: Subject, one: bool
) -> None:
    """Whole, or one process of it; a second tracer is refused meanwhile."""
    exo = launcher.exo_command(["x"])[0]
    words = [exo, "trace", "--instance", NAME, *(["-p", str(inside.pid)] if one else [])]
    out = tmp_path / "out"
    tracer = started(words, out, "attached")
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "traced already" in second.stderr
    assert inside.act() == "did 0\n"
    tracer.send_signal(signal.SIGINT)
    assert "detached" in tracer.communicate(timeout=20)[1]
    assert inside.act() == "did 1\n"
    text = out.read_text()
    assert 'access("/nowhere/0", F_OK)' in text
    assert "/nowhere/1" not in text
    assert inside.end() == 0


def test_an_instance_is_traced_to_its_end(
    tmp_path: Path, launcher: Launcher, inside: Subject
) -> None:
    """Then the tracer ends, too; -c counts what was done from the attaching on."""
    exo = launcher.exo_command(["x"])[0]
    tracer = started([exo, "trace", "-c", "--instance", NAME], tmp_path / "out", "attached")
    for i in range(3):
        assert inside.act() == f"did {i}\n"
    assert inside.end() == 0
    assert tracer.wait(20) == 0
    rows = {line.split()[-1]: line.split() for line in (tmp_path / "out").read_text().splitlines()}
    assert rows["access"][3:5] == ["3", "3"]


def test_who_is_not_there_is_said_in_a_line(launcher: Launcher, inside: Subject) -> None:
    """A process that the instance has not, and mistakes."""
    exo = launcher.exo_command(["x"])[0]
    for words, message in (
        (["--instance", NAME, "-p", "4711"], "no process 4711"),
        (["--instance", NAME, "-p", "1", "-p", "2"], "one -p"),
    ):
        done = subprocess.run([exo, "trace", *words], capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert inside.end() == 0
