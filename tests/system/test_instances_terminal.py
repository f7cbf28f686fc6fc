"""exo-um exec and top at a pseudo-terminal."""

from __future__ import annotations

import fcntl
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from sidebyside import Launcher
from terminals import terminal


@pytest.fixture
def instance(launcher: Launcher) -> Iterator[str]:
    """The name of a running instance in a run directory of the test's own."""
    folder = launcher.base / "run"
    folder.mkdir(mode=0o700)
    launcher.hand_over(folder)
    launcher.extra_env["XDG_RUNTIME_DIR"] = str(folder)
    command = launcher.exo_command(["sh", "-c", "echo up; exec sleep 100"], ["--name", "one"])
    with launcher.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield "one"
        process.terminate()
        process.wait(20)


def exo(launcher: Launcher, *words: str) -> list[str]:
    return [str(launcher.exo_um), *words]


def test_job_control_in_exec(launcher: Launcher, instance: str) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with terminal(launcher, exo(launcher, "exec", instance, *shell)) as (tty, process):
        tty.expect("ready> ")
        tty.type("sh -c 'echo star''ted; exec sleep 100'\n")
        tty.expect("started")
        tty.type("\x03")
        tty.expect("ready> ")
        tty.type("echo status $?\n")
        tty.expect(r"status 130\r\n")
        tty.type("sh -c 'echo sec''ond; exec cat'\n")
        tty.expect("second")
        tty.type("\x1a")
        tty.expect(r"Stopped.*\r\nready> ")
        tty.type("fg\n")
        tty.expect("cat'")
        tty.type("back to the terminal\n\x04")
        tty.expect(r"back to the terminal\r\nback to the terminal\r\nready> ")
        tty.type("exit 5\n")
        assert process.wait(20) == 5


def test_window_size_in_exec(launcher: Launcher, instance: str) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with terminal(launcher, exo(launcher, "exec", instance, *shell)) as (tty, process):
        tty.expect("ready> ")
        tty.type("trap 'echo resi''zed' WINCH; stty size\n")
        tty.expect(r"24 80\r\nready> ")
        fcntl.ioctl(tty.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        tty.type("\n")
        tty.expect("resized")
        tty.type("stty size\n")
        tty.expect(r"30 100\r\n")
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_exec_gives_the_terminal_back(launcher: Launcher, instance: str) -> None:
    inner = " ".join(exo(launcher, "exec", instance, "sh", "-c", "'echo in''side; exit 3'"))
    script = f"stty -a > before; {inner}; echo status $?; stty -a > after; sleep 0"
    with terminal(launcher, ["bash", "-c", script]) as (tty, process):
        tty.expect("inside\r\n")
        tty.expect("status 3\r\n")
        assert process.wait(20) == 0
    work: Path = launcher.work
    assert (work / "before").read_text() == (work / "after").read_text()


def test_much_output_arrives_whole(launcher: Launcher, instance: str) -> None:
    with terminal(launcher, exo(launcher, "exec", instance, "seq", "20000")) as (tty, process):
        text = tty.expect(r"\r\n20000\r\n")
        assert process.wait(20) == 0
    assert text.split() == [str(number) for number in range(1, 20001)]


def test_top_shows_and_quits(launcher: Launcher, instance: str) -> None:
    script = f"stty -a > before; TERM=xterm {launcher.exo_um} top; echo status $?; stty -a > after"
    with terminal(launcher, ["bash", "-c", script]) as (tty, process):
        tty.expect(f"{instance}: 2 processes")
        tty.expect("COMMAND")
        tty.type("q")
        tty.expect("status 0\r\n")
        assert process.wait(20) == 0
    assert (launcher.work / "before").read_text() == (launcher.work / "after").read_text()


def test_top_ends_by_signals(launcher: Launcher, instance: str) -> None:
    script = f"stty -a > before; TERM=xterm {launcher.exo_um} top; echo status $?; stty -a > after"
    with terminal(launcher, ["bash", "-c", f"trap : INT; {script}"]) as (tty, process):
        tty.expect("COMMAND")
        tty.type("\x03")
        assert re.search("130", tty.expect("status [0-9]+\r\n"))
        assert process.wait(20) == 0
    assert (launcher.work / "before").read_text() == (launcher.work / "after").read_text()
