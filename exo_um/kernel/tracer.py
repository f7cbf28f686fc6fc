"""The kernel process's side of the ptrace platform: starts the tracer, and says whom to trace.

Not in this process: a tracer waits for its tracees, and here the reaper waits for all children.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region

REQUEST = struct.Struct("=II")  # host pid, slot
START = "import sys; sys.path.append(sys.argv[1]); from exo_um.kernel.tracing import main; main()"
CONTROL_FD, REGION_FD = 3, 4
FREE_FD = 64
PACKAGES = __file__.removesuffix("/exo_um/kernel/tracer.py")


class Tracer:
    """The process that intercepts the system calls of an instance's guests."""

    __slots__ = ("_control", "host_pid")

    def __init__(self, region: Region) -> None:
        """Start it, in a session of its own: the terminal's signals are not for it."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Above what the guests' caller may have left free, and the numbers they are to have.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, FREE_FD) for fd in (theirs.fileno(), region.fd)]
        argv = [sys.executable, "-I", "-S", "-c", START, PACKAGES]
        self.host_pid = os.posix_spawn(
            sys.executable,
            argv,
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, moved[0], CONTROL_FD),
                (os.POSIX_SPAWN_DUP2, moved[1], REGION_FD),
            ],
            setsid=True,
        )
        for fd in moved:
            os.close(fd)
        theirs.close()

    def seize(self, host_pid: int, slot: int) -> None:
        """Have a process traced that waits for it, and all of its descendants.

        Errors: BrokenPipeError, the tracer is dead.
        """
        self._control.send(REQUEST.pack(host_pid, slot))
