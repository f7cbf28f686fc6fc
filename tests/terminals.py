"""Programs at a pseudo-terminal: typing, waiting for output, and a shell on either side."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import select
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


def stop_and_continue(tty: Terminal) -> None:
    """Stop, continue and kill a job of an interactive shell; then a second one has the terminal."""
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
