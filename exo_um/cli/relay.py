"""Between our terminal and that of a program that runs elsewhere, until the program ends.

The program leads a session of its own on a new pseudo-terminal, so job control works there as at
any terminal: Ctrl-C, Ctrl-Z and the like are bytes for it, which is why ours is made raw. Without
a terminal the program has our streams themselves, and only signals are passed on.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any

from exo_um.bindings.process import SignalWatch

if TYPE_CHECKING:
    import socket

SI_KERNEL = 128
SIZE = 65536
PASSED_ON = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
OTHERS = (signal.SIGWINCH, signal.SIGCONT)


def shared_terminal(stdio: list[int | None]) -> list[int]:
    """Return which streams are the terminal that standard input is, if it is our own."""
    try:
        os.tcgetpgrp(0)  # fails unless it is our controlling terminal
        mine = os.fstat(0).st_rdev
    except OSError:
        return []
    return [fd for fd in stdio if fd is not None and os.isatty(fd) and os.fstat(fd).st_rdev == mine]


class Relay:
    """Passes bytes and signals on, until the end of the program is announced on a connection."""

    def __init__(self, connection: socket.socket, at_terminal: list[int]) -> None:
        """Block the signals that are to be passed on; make a terminal if some streams need one."""
        self._connection = connection
        self._signals = SignalWatch((*PASSED_ON, *OTHERS))
        self._output = next((fd for fd in at_terminal if fd != 0), 0)
        self._saved: list[Any] | None = None  # what our terminal was before it was made raw
        self._input_open = bool(at_terminal)
        self._unsent = b""
        self.master = self.terminal = -1
        if at_terminal:
            self.master, self.terminal = pty.openpty()
            os.set_blocking(self.master, False)
            termios.tcsetattr(self.terminal, termios.TCSANOW, termios.tcgetattr(0))
            self._copy_size()

    def run(self) -> int:
        """Relay until the program has ended; return its wait status.

        Errors: EOFError, the other end of the connection has gone.
        """
        if self.terminal >= 0:
            os.close(self.terminal)  # else the end of its output would never be seen
            self._go_raw()
        try:
            while True:
                ready = dict(self._poll())
                if self._signals.fd in ready:
                    self._pass_signals()
                if self.master in ready:
                    self._serve_master(ready[self.master])
                if 0 in ready:
                    self._read_input()
                if self._connection.fileno() in ready:
                    return self._status()
        finally:
            self._restore()

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(self._signals.fd, select.POLLIN)
        if self.master >= 0:
            poll.register(self.master, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if self._saved and self._input_open and not self._unsent:
                poll.register(0, select.POLLIN)
        return poll.poll()

    def _pass_signals(self) -> None:
        while signal_ := self._signals.next():
            number, code = signal_
            if number == signal.SIGWINCH:
                self._copy_size()
            elif number == signal.SIGCONT:
                self._go_raw()
            else:
                # The terminal sends to a whole group, as it would to one of the program's.
                request = {"op": "signal", "number": number, "group": code == SI_KERNEL}
                self._connection.send(json.dumps(request).encode())

    def _serve_master(self, events: int) -> None:
        if events & select.POLLOUT:
            self._send_input()
        if events & (select.POLLIN | select.POLLHUP) and not self._copy_output():
            os.close(self.master)  # nobody has it open on the other side
            self.master = -1

    def _copy_output(self) -> bool:
        """Write what the program has written; return whether there may be more one day."""
        try:
            data = os.read(self.master, SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        while data:
            data = data[os.write(self._output, data) :]
        return True

    def _read_input(self) -> None:
        try:
            self._unsent = os.read(0, SIZE)
        except OSError:
            self._unsent = b""
        if self._unsent:
            self._send_input()
        else:
            self._input_open = False

    def _send_input(self) -> None:
        if self.master < 0:
            self._unsent = b""
            return
        try:
            self._unsent = self._unsent[os.write(self.master, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""

    def _status(self) -> int:
        data = self._connection.recv(SIZE)
        if not data:
            raise EOFError
        while self.master >= 0 and (events := self._readable()):
            self._serve_master(events)
        return int(json.loads(data)["status"])

    def _readable(self) -> int:
        """Return poll's events of output that is there already; polling flushes the terminal."""
        poll = select.poll()
        poll.register(self.master, select.POLLIN)
        return next((events for _, events in poll.poll(0)), 0)

    def _copy_size(self) -> None:
        if self.master < 0:
            return
        try:
            fcntl.ioctl(
                self.master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
            )
        except OSError:  # ours has gone
            return

    def _go_raw(self) -> None:
        """Make our terminal raw if we are in its foreground; in the background it is not ours."""
        if self.master < 0 or not in_foreground():
            return
        saved = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSADRAIN)
        self._saved = self._saved or saved
        self._copy_size()

    def _restore(self) -> None:
        if self._saved and in_foreground():
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)


def in_foreground() -> bool:
    """Whether our process group is the foreground one of standard input's terminal."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
