"""Shells at a pseudo-terminal, natively and under exo-um: prompts, Ctrl-C, job control, sizes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import select
import shlex
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sidebyside import Launcher, kill_everything


class Terminal:
    """The other end of a pseudo-terminal: types, and waits for output."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, pattern: str, timeout_s: float = 20) -> str:
        """Wait until pattern appears; consumes and gives the output up to its end."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                pytest.fail(f"{pattern!r} did not appear in {self.seen!r}")
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                pytest.fail(f"terminal closed before {pattern!r}, after {self.seen!r}")
            self.seen += data.decode(errors="replace")
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text


@contextmanager
def terminal(
    launcher: Launcher, argv: list[str]
) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """Run argv as the session leader of a new terminal of 80 by 24."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    if launcher.user is not None:
        os.fchown(theirs, pwd.getpwnam(launcher.user).pw_uid, -1)
    launcher.extra_env |= {"PS1": "ready> ", "TERM": "dumb"}
    process = launcher.start(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(ours), process
    finally:
        if process.poll() is None:
            kill_everything(process.pid, launcher.mark)
        with contextlib.suppress(OSError):
            os.close(ours)
        process.wait(20)


Session = contextlib.AbstractContextManager[tuple[Terminal, subprocess.Popen[bytes]]]
Shell = Callable[[str], Session]


@pytest.fixture(params=["native", "exo-um"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Starts a shell command line at a terminal, on one of the sides."""
    side: Launcher = request.getfixturevalue("native" if request.param == "native" else "launcher")

    def start(command: str) -> Session:
        argv = shlex.split(command)
        return terminal(side, argv if request.param == "native" else side.exo_command(argv))

    return start


def test_interactive_shell(shell: Shell) -> None:
    with shell("busybox sh") as (tty, process):
        tty.expect("ready> ")
        tty.type("echo $((1+2))\n")
        tty.expect(r"\r\n3\r\nready> ")
        tty.type("tty | busybox sed 's/[0-9]*$/N/'; stty size\n")
        tty.expect(r"/dev/pts/N\r\n24 80\r\nready> ")
        tty.type("exit 7\n")
        assert process.wait(20) == 7


def test_ctrl_c_reaches_the_foreground_job_only(shell: Shell) -> None:
    with shell("busybox sh") as (tty, process):
        tty.expect("ready> ")
        tty.type("busybox sh -c 'echo star''ted; exec sleep 100'\n")
        tty.expect("started")
        tty.type("\x03")
        tty.expect("ready> ", 10)
        tty.type("echo status $?\n")
        tty.expect(r"status 130\r\nready> ")
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_job_control(shell: Shell) -> None:
    with shell("bash --norc --noprofile -i") as (tty, process):
        tty.expect("ready> ")
        tty.type("sh -c 'echo star''ted; exec sleep 100'\n")
        tty.expect("started")
        tty.type("\x1a")
        tty.expect(r"Stopped.*\r\nready> ")
        tty.type("bg; jobs; kill %1; wait %1; echo status $?\n")
        tty.expect(r"Running")
        tty.expect(r"status 143\r\n")
        tty.type("sh -c 'echo sec''ond; exec cat'\n")
        tty.expect("second")
        tty.type("back to the terminal\n\x04")
        tty.expect(r"back to the terminal\r\nback to the terminal\r\nready> ")
        tty.type("exit 5\n")
        assert process.wait(20) == 5


def test_window_size_changes(shell: Shell) -> None:
    with shell("bash --norc --noprofile -i") as (tty, process):
        tty.expect("ready> ")
        tty.type("trap 'echo resi''zed' WINCH; echo se''t\n")
        tty.expect(r"\r\nset\r\nready> ")
        fcntl.ioctl(tty.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        tty.type("stty size\n")
        tty.expect(r"30 100\r\n")
        tty.type("exit 0\n")
        assert process.wait(20) == 0
