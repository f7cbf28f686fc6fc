"""Tracing guests: a program in a new instance, or an instance that runs already."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from exo_um.bindings.region import OpenedRegion
from exo_um.trace.drain import Drain, signal_status
from posix_x.decode.memory import Snippets
from posix_x.decode.view import View

if TYPE_CHECKING:
    from exo_um.trace.sink import Sink

Watcher = Callable[[OpenedRegion, "Sink", Callable[[], bool]], Drain]
EXECVE = 59
HELD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def launch(
    path: bytes,
    argv: list[bytes],
    env: dict[bytes, bytes],
    wish: dict[str, Any],
    sink: Sink,
    *,
    patch: bool,
    watcher: Watcher = Drain,
) -> int:
    """Run a program in a new instance, traced; return its wait status. watcher takes its events."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()  # noqa: TID251 - one thread, and no lock is held
    if child == 0:
        ours.close()
        _be_kernel(path, argv, env, wish, theirs, patch)
    theirs.close()
    for number in HELD:  # the instance's to heed
        signal.signal(number, signal.SIG_IGN)  # noqa: TID251 - no handler
    _, fds, _, _ = socket.recv_fds(ours, 64, 1)
    if not fds:  # it has said why
        return os.waitpid(child, 0)[1]
    drain = watcher(OpenedRegion(fds[0]), sink, lambda: not is_closed(ours))
    if not sink.wishes.summary_only:
        drain.start_with(executed(path, argv, env, sink))
    drain.run()
    _, status = os.waitpid(child, 0)
    drain.finish()
    if sink.wishes.summary is not None:
        drain.tallies()
    if drain.first_status is not None:
        return drain.first_status
    return signal_status(os.waitstatus_to_exitcode(status))


def _be_kernel(
    path: bytes,
    argv: list[bytes],
    env: dict[bytes, bytes],
    wish: dict[str, Any],
    recorder: socket.socket,
    patch: bool,
) -> None:
    from exo_um.boot import Boot, Machine

    try:
        boot = Boot(path, argv, env)
        boot.patch, boot.recorder, boot.wish = patch, recorder, wish
        status = Machine(boot).run()
    except OSError as error:
        os.write(2, f"exo-um trace: {error}\n".encode(errors="surrogateescape"))
        status = 125
    os._exit(status)


def executed(path: bytes, argv: list[bytes], env: dict[bytes, bytes], sink: Sink) -> View:
    """Return the execve(2) that begins a program, as it would have been made."""
    base = 0x10000
    at = base + 8 * (len(argv) + len(env) + 2)
    pointers: list[int] = []
    strings: list[tuple[int, bytes]] = [(at, path + b"\0")]
    for word in [*argv, b"", *(k + b"=" + v for k, v in env.items())]:
        at += len(strings[-1][1])
        strings.append((at, word + b"\0"))
        pointers.append(at)
    pointers[len(argv)] = 0
    table = struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0)
    envp = base + 8 * (len(argv) + 1)
    memory = Snippets([(base, table), *strings])
    return View(EXECVE, (strings[0][0], base, envp, 0, 0, 0), 0, memory, memory, sink.options)


def is_closed(connection: socket.socket) -> bool:
    """Whether the kernel process has hung up."""
    ready, _, _ = select.select([connection], [], [], 0)
    return bool(ready) and not connection.recv(4096)


def attach(name: str, pid: int, wish: dict[str, Any], sink: Sink) -> int:
    """Trace a running instance, or a process of it, until it ends or SIGINT comes."""
    from exo_um.cli.instances import find

    target = find(name)
    answer, fds = target.ask({"op": "trace", "wish": wish, "pid": pid})
    if not answer["count"]:
        raise ProcessLookupError(f"no process {pid} in instance {name}")
    drain = Drain(OpenedRegion(fds[0]), sink, lambda: not is_closed(target.connection))
    drain.leave_with = pid
    try:
        drain.run()
    except KeyboardInterrupt:
        sink.say(f"Process {pid or 'es of ' + name} detached")
    if sink.wishes.summary is not None:
        drain.tallies()
    target.close()
    return 0
