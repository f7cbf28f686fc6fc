"""The terminal that exo-um was started on: giving it back, and which signals to pass on.

A terminal sends its signals to the whole foreground group, the first guest included, so those are
not for the kernel process to forward; what somebody sends to exo-um itself is.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.tasks import Tasks

SIGHUP = 1
SI_KERNEL = 128


class Terminal:
    """Standard input, when it is a terminal in whose foreground exo-um was started."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._pgid = os.getpgrp()
        self._ours = foreground(fd) == self._pgid

    @property
    def is_terminal(self) -> bool:
        """Whether it is to be kept open until give_back."""
        return self._ours

    def give_back(self) -> None:
        """Make our process group the foreground one again, if a guest's that is dead still is.

        SIGTTOU is ignored in the kernel process, so this works from the background.
        """
        if not self._ours:
            return
        group = foreground(self._fd)
        if group in (0, self._pgid):
            return
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            os.tcsetpgrp(self._fd, self._pgid)
        except PermissionError:
            return


def foreground(fd: int) -> int:
    """Return the foreground process group of the terminal behind fd, 0 if it is none."""
    try:
        return os.tcgetpgrp(fd)
    except OSError:
        return 0


def is_for_guest(tasks: Tasks, number: int, code: int, sender_host_pid: int) -> bool:
    """Whether a signal that reached exo-um was meant for the program it runs.

    Not when the terminal sent it, to the guest as well, nor when a guest did, to its whole group.
    But a terminal that hangs up tells its session's leader alone.
    """
    if number == SIGHUP and code == SI_KERNEL:
        return os.getsid(0) == os.getpid()
    return code != SI_KERNEL and not tasks.find_host(sender_host_pid)
