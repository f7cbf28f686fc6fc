"""Shells at a pseudo-terminal, natively and under exo-um: prompts, Ctrl-C, job control, sizes."""

from __future__ import annotations

import fcntl
import struct
import termios

from terminals import Shell, stop_and_continue


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
        stop_and_continue(tty)
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
