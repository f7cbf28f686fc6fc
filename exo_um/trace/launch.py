"""A program that is traced in an instance of its own: it runs before we know how to show it."""

from __future__ import annotations

import os

from exo_um.bindings.region import Region
from exo_um.boot import Boot, Machine
from exo_um.trace.clock import Clock, add_tallies

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, NoReturn

    from exo_um.trace.drain import Drain
    from exo_um.trace.sink import Sink
    from exo_um.trace.summary import Summary
    from posix_x.decode.view import View

    User = tuple[str, int, int]  # name, uid, gid
    Watcher = Callable[[Region, Sink, Clock, Callable[[], bool]], Drain]

EXECVE = 59
FAILED = 125  # the kernel process's exit status when it has said why on stderr


class Program:
    """What to run: the path, argv, environment; tool tells what is wrong; user None: as we are."""

    __slots__ = ("argv", "env", "path", "tool", "user")

    def __init__(
        self,
        path: bytes,
        argv: list[bytes],
        env: dict[bytes, bytes],
        tool: str = "exo-um trace",
        user: User | None = None,
    ) -> None:
        self.user = user
        self.path = path
        self.argv = argv
        self.env = env
        self.tool = tool


class Started:
    """A program that runs: its kernel process is our child, its region ours, too."""

    def __init__(self, program: Program, wish: dict[str, Any], *, patch: bool) -> None:
        """Start it, told as is wished for; with events, our hanging up ends the telling."""
        self._program = program
        self._clock = Clock()
        self._region = Region()
        self._ours: socket.socket | None = None
        boot = Boot(program.path, program.argv, program.env)
        boot.patch, boot.region, boot.wish = patch, self._region, wish
        if wish["flags"] != 2:
            import socket

            self._ours, boot.recorder = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._child = os.fork()  # noqa: TID251 - one thread, and no lock is held
        if self._child == 0:
            if self._ours is not None:
                self._ours.close()
            if program.user is not None:
                become(program.user)
            run_kernel(boot, program.tool)
        if boot.recorder is not None:
            boot.recorder.close()
        ignore_signals()

    def count(self, summary: Summary, wanted: frozenset[int] | None) -> int:
        """Wait for the end; count calls, wanted ones alone, into summary. Return a wait status."""
        status = signal_status(os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1]))
        self._sum_up(summary, wanted)
        return status

    def _sum_up(self, summary: Summary, wanted: frozenset[int] | None) -> None:
        add_tallies(self._region, self._clock, summary, wanted)
        if any(self._region.kr.recording.tally_seen) and (wanted is None or EXECVE in wanted):
            summary.add(EXECVE, 0, False)  # the host's, by which it began

    def follow(self, sink: Sink, watcher: Watcher | None = None) -> int:
        """Tell the sink, or a watcher, what happens until the end; return a wait status."""
        from exo_um.trace.drain import Drain

        ours = self._ours
        assert ours is not None
        if not ours.recv(64):  # it has said why
            return os.waitpid(self._child, 0)[1]
        drain = (watcher or Drain)(self._region, sink, self._clock, lambda: not is_closed(ours))
        drain.start_with(executed(self._program, sink))
        drain.run()
        status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        drain.finish()
        if sink.summary is not None:
            self._sum_up(sink.summary, sink.wishes.calls)
        sink.finish()
        return signal_status(status) if drain.first_status is None else drain.first_status


def become(user: User) -> None:
    """Be somebody else, as -u asks for. Errors: OSError."""
    name, uid, gid = user
    os.initgroups(name, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_kernel(boot: Boot, tool: str) -> NoReturn:
    """Be the kernel process."""
    try:
        status = Machine(boot).run()
    except OSError as error:
        os.write(2, f"{tool}: {error}\n".encode(errors="surrogateescape"))
        status = FAILED
    os._exit(status)


def ignore_signals() -> None:
    """Have a terminal's signals be heeded by the instance alone."""
    import signal

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # noqa: TID251 - no handler


def signal_status(code: int) -> int:
    """Return a wait status from an exit status as a shell has it."""
    return code - 128 if code > 128 else code << 8


def is_closed(connection: socket.socket) -> bool:
    """Whether the kernel process has hung up."""
    import select

    ready, _, _ = select.select([connection], [], [], 0)
    return bool(ready) and not connection.recv(4096)


def executed(program: Program, sink: Sink) -> View:
    """Return the execve(2) that begins a program, as it would have been made."""
    import struct

    from posix_x.decode.memory import Snippets
    from posix_x.decode.view import View

    base = 0x10000
    argv, env = program.argv, program.env
    at = base + 8 * (len(argv) + len(env) + 2)
    pointers: list[int] = []
    strings: list[tuple[int, bytes]] = [(at, program.path + b"\0")]
    for word in [*argv, b"", *(k + b"=" + v for k, v in env.items())]:
        at += len(strings[-1][1])
        strings.append((at, word + b"\0"))
        pointers.append(at)
    pointers[len(argv)] = 0
    table = struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0)
    envp = base + 8 * (len(argv) + 1)
    memory = Snippets([(base, table), *strings])
    return View(EXECVE, (strings[0][0], base, envp, 0, 0, 0), 0, memory, memory, sink.options)
