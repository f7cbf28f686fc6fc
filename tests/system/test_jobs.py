"""Job control as it is typed: the same keys and commands, natively and under exo-um."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable

import pytest
from terminals import Shell, Terminal

SHELLS = {
    "busybox": "busybox sh",
    "bash": "bash --norc --noprofile -i",
    "dash": "dash -i",
}
PROMPT = "ready> "


@pytest.fixture(params=SHELLS)
def command(request: pytest.FixtureRequest, require: Callable[[str], None]) -> str:
    """The command line of an interactive shell."""
    line: str = SHELLS[request.param]
    require(line.split(maxsplit=1)[0])
    return line


def say(tty: Terminal, line: str, pattern: str) -> str:
    """Type a line and wait for pattern and the next prompt."""
    tty.type(line + "\n")
    return tty.expect(rf"(?s){pattern}.*{PROMPT}")


def ask_until(tty: Terminal, satisfied: Callable[[str], bool]) -> None:
    """Type `jobs` until its answer satisfies: a shell tells of changes at a prompt only."""
    answers = (say(tty, "jobs; echo that is a''ll", "that is all") for _ in range(500))
    assert any(satisfied(answer.partition("ll\r\n")[2]) for answer in answers)


def start(tty: Terminal) -> None:
    """Type a foreground job that repeats lines, and wait until it does: it has been executed."""
    tty.type("sh -c 'echo sta''rted; exec cat'\n")
    tty.expect("started\r\n")
    tty.type("all set\n")
    tty.expect("(?s)all set\r\n.*all set\r\n")


def test_stop_and_go(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        start(tty)
        tty.type("\x1a")
        tty.expect(rf"(?s)Stopped.*{PROMPT}")
        say(tty, "jobs", "Stopped")
        tty.type("fg\n")
        tty.expect("cat")
        tty.type("on again\n")
        tty.expect("on again\r\non again\r\n")
        tty.type("\x04")
        tty.expect(PROMPT)
        say(tty, "echo status $?", "status 0")
        tty.type("exit 3\n")
        assert process.wait(20) == 3


def test_ctrl_c_ends_the_foreground_job(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        say(tty, "sleep 100 &", "")
        start(tty)
        tty.type("\x03")
        tty.expect(PROMPT)
        say(tty, "echo status $?", "status 130\r\n")
        say(tty, "jobs", "sleep 100")
        say(tty, "kill %1", "")
        ask_until(tty, lambda jobs: "sleep 100" not in jobs or "erminated" in jobs)
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_ctrl_backslash_quits(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        say(tty, "ulimit -c 0", "")
        start(tty)
        tty.type("\x1c")
        tty.expect(PROMPT)
        say(tty, "echo status $?", "status 131\r\n")
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_background_reader_stops(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        tty.type("sh -c 'echo sta''rted; exec cat' &\n")
        tty.expect("started\r\n")
        ask_until(tty, lambda jobs: "topped" in jobs)
        tty.type("fg\n")
        tty.expect("cat")
        tty.type("line\n")
        tty.expect("line\r\nline\r\n")
        tty.type("\x04")
        tty.expect(PROMPT)
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_tostop_stops_background_writers(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        say(tty, "stty tostop", "")
        tty.type("sh -c 'echo from the back''ground' &\n")
        tty.expect(PROMPT)
        ask_until(tty, lambda jobs: "topped" in jobs)
        tty.type("fg\n")
        tty.expect("from the background\r\n")
        tty.expect(PROMPT)
        say(tty, "stty -tostop", "")
        say(tty, "sh -c 'echo un''stopped' & wait", "unstopped")
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_stopped_jobs_delay_the_exit(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        start(tty)
        tty.type("\x1a")
        tty.expect(rf"(?s)Stopped.*{PROMPT}")
        tty.type("exit\n")
        tty.expect("stopped jobs|exit\r\n")
        tty.type("kill -9 %1\nexit 4\nexit 4\n")
        process.wait(20)


def test_hang_up_ends_the_session(shell: Shell, command: str) -> None:
    with shell(command) as (tty, process):
        tty.expect(PROMPT)
        start(tty)
        os.close(tty.fd)
        process.wait(20)  # by SIGHUP, or by the end of its input, whichever is first


def test_window_size_reaches_the_foreground(shell: Shell) -> None:
    with shell("bash --norc --noprofile -i") as (tty, process):
        tty.expect(PROMPT)
        loop = "echo sta''rted; while :; do sleep 0.05; done"
        tty.type(f"bash -c 'trap \"stty size; exit 7\" WINCH; {loop}'\n")
        tty.expect("started\r\n")
        fcntl.ioctl(tty.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 132, 0, 0))
        tty.expect(rf"(?s)41 132\r\n.*{PROMPT}")
        say(tty, "echo status $?", "status 7")
        tty.type("exit 0\n")
        assert process.wait(20) == 0


def test_monitor_mode_of_a_script(shell: Shell) -> None:
    script = (
        "set -m; sleep 100 & jobs -l | grep -c Running; kill -STOP %1; fg %1 & kill -9 %1; wait"
    )
    with shell(f"bash --norc --noprofile -c '{script}; echo do''ne'") as (tty, process):
        tty.expect("1\r\n")
        tty.expect("done\r\n")
        assert process.wait(20) == 0


def test_suspended_shell_in_a_shell(shell: Shell) -> None:
    with shell("bash --norc --noprofile -i") as (tty, process):
        tty.expect(PROMPT)
        say(tty, "bash --norc --noprofile -i", "")
        say(tty, "suspend", "Stopped")
        tty.type("fg\n")
        tty.expect(PROMPT)
        tty.type("exit 5\n")
        tty.expect(PROMPT)
        say(tty, "echo status $?", "status 5")
        tty.type("exit 0\n")
        assert process.wait(20) == 0
