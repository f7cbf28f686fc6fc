"""The kernel process's side of an instance's entry: answers `exo-um ps`, `top` and `exec`.

Imported when somebody connects for the first time. Requests and answers are JSON objects, one per
SEQPACKET message; fds travel beside them:

    {"op": "describe"}              -> {"name", "pid", "argv"}, the region's fd, read-only
    {"op": "join", ...}             -> {"pid"}, and {"status"} when it has ended; see Joining
    {"op": "trace", "wish", "pid"}  -> {"count"}, the region's fd; until it hangs up: see Recording
    {"op": "signal", "number", "group"}   to what was joined on this connection; no answer

Anything wrong is answered by {"error": text}. The loop never waits for a peer: who does not take
its answer, or hangs up, is forgotten.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct

from exo_um.bindings.process import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from exo_um.kernel.instance import Instance
    from exo_um.kernel.reaper import Reaper
    from exo_um.kernel.recording import Recording

    Start = Callable[["Joining"], tuple[int, int]]

MESSAGE_SIZE = 65536
FD_LIMIT = 8
TEXT_LIMIT = 16 << 20  # bytes of arguments and environment; the host's own limit is lower
SIGHUP = 1
SIGNAL_LIMIT = 64
ALL_SIGNALS = (1 << SIGNAL_LIMIT) - 1
STREAMS = ("stdin", "stdout", "stderr")


class Joining:
    """A program that is to join the instance: what to run, and where."""

    def __init__(self, request: dict[str, Any], fds: dict[str, int]) -> None:
        """Take a request: fds text and directory, the streams that are open, and the numbers.

        text holds strings ended by NUL: the program's path, its arguments, its environment.
        Errors: ValueError, KeyError, TypeError, a malformed request.
        """
        size = os.fstat(fds["text"]).st_size
        if size > TEXT_LIMIT:
            raise ValueError("arguments too long")
        strings = os.pread(fds["text"], size, 0).split(b"\0")[:-1]
        count = int(request["argc"])
        self.path, self.argv, envp = strings[0], strings[1 : count + 1], strings[count + 1 :]
        self.env = dict(entry.split(b"=", 1) for entry in envp if b"=" in entry)
        stdio = tuple(fds.get(name, -1) for name in STREAMS)
        self.place = Place((stdio[0], stdio[1], stdio[2]), fds["directory"])
        self.place.terminal = bool(request["terminal"])
        self.place.umask = int(request["umask"]) & 0o777
        self.place.ignored = int(request["ignored"]) & ALL_SIGNALS
        self.place.blocked = int(request["blocked"]) & ALL_SIGNALS
        self.open = [fd for fd, name in enumerate(STREAMS) if name in fds]


class Peer:
    """One connection, and the program that was joined on it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.host_pid = 0
        self.traces = False

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next request and its fds; None when the peer has hung up."""
        data, fds = receive_message(self.connection)
        if not data:
            return None
        try:
            request = json.loads(data)
        except (ValueError, RecursionError):
            request = None
        return (request if isinstance(request, dict) else {}), fds

    def answer(self, answer: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send an answer. Errors: OSError, the peer has gone or does not read."""
        rights = array.array("i", fds)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if fds else []
        self.connection.sendmsg([json.dumps(answer).encode()], ancillary, socket.MSG_NOSIGNAL)


class Control:
    """Serves everybody who is connected to the instance's entry."""

    def __init__(
        self,
        instance: Instance,
        reaper: Reaper,
        listener: int,
        start: Start,
        recording: Recording,
    ) -> None:
        self._recording = recording
        self._instance = instance
        self._reaper = reaper
        self._start = start
        self._listener = socket.socket(fileno=listener)
        self._peers: dict[int, Peer] = {}
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self.fd = self._epoll.fileno()

    def serve(self) -> None:
        """Do what is asked for now."""
        for fd, _ in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            else:
                self._serve_peer(self._peers[fd])

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has gone again, or we are out of fds
            return
        connection.setblocking(False)
        if not may_enter(connection):
            connection.close()
            return
        self._add(Peer(connection))

    def _add(self, peer: Peer) -> None:
        self._peers[peer.connection.fileno()] = peer
        self._epoll.register(peer.connection.fileno(), select.EPOLLIN)

    def add_tracer(self, connection: socket.socket) -> None:
        """Take a connection whose other end traces the instance from its beginning."""
        connection.setblocking(False)
        peer = Peer(connection)
        peer.traces = True
        self._add(peer)

    def _serve_peer(self, peer: Peer) -> None:
        try:
            received = peer.receive()
            if received is None:
                self._forget(peer)
                return
            request, fds = received
            try:
                self._serve_request(peer, request, fds)
            finally:
                for fd in fds:
                    os.close(fd)
        except BlockingIOError:
            return
        except OSError:
            self._forget(peer)

    def _serve_request(self, peer: Peer, request: dict[str, Any], fds: list[int]) -> None:
        operation = request.get("op")
        try:
            if operation == "describe":
                self._describe(peer)
            elif operation == "join" and not peer.host_pid:
                self._join(peer, request, dict(zip(request["fds"], fds, strict=True)))
            elif operation == "trace" and not peer.traces:
                self._trace(peer, request)
            elif operation == "signal" and peer.host_pid:
                signal_to(peer.host_pid, int(request["number"]), group=bool(request["group"]))
            elif operation == "signal":
                return  # it has ended meanwhile
            else:
                peer.answer({"error": "no such operation"})
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            peer.answer({"error": f"malformed request: {error}"})

    def _describe(self, peer: Peer) -> None:
        instance = self._instance
        region = os.open(f"/proc/self/fd/{instance.region.fd}", os.O_RDONLY | os.O_CLOEXEC)
        argv = [word.decode(errors="replace") for word in instance.argv]
        try:
            peer.answer({"name": instance.name, "pid": os.getpid(), "argv": argv}, (region,))
        finally:
            os.close(region)

    def _trace(self, peer: Peer, request: dict[str, Any]) -> None:
        try:
            self._recording.start(request["wish"])
        except OSError as error:
            peer.answer({"error": error.strerror or str(error)})
            return
        peer.traces = True
        follow = bool(int(request["wish"]["flags"]) & 4)
        count = self._recording.watch_running(int(request["pid"]), follow)
        peer.answer({"count": count}, (self._instance.region.fd,))

    def _join(self, peer: Peer, request: dict[str, Any], fds: dict[str, int]) -> None:
        joining = Joining(request, fds)
        try:
            pid, host_pid = self._start(joining)
        except OSError as error:
            peer.answer({"error": error.strerror or str(error)})
            return
        # A client that has hung up meanwhile must still be told of, so watch first.
        if not request["detach"]:
            peer.host_pid = host_pid
            self._reaper.watch(host_pid, lambda status: self._ended(peer, status))
        peer.answer({"pid": pid})

    def _ended(self, peer: Peer, status: int) -> None:
        """Tell a caller how its program ended; closing is its affair.

        With one more request of it unread, closing would take the answer from it.
        """
        peer.host_pid = 0
        try:
            peer.answer({"status": status})
        except OSError:
            self._forget(peer)

    def _forget(self, peer: Peer) -> None:
        """Close a connection; a program whose caller has hung up is hung up too."""
        if self._peers.pop(peer.connection.fileno(), None) is None:
            return
        self._epoll.unregister(peer.connection.fileno())
        peer.connection.close()
        if peer.traces:
            self._recording.stop()
        if peer.host_pid:
            signal_to(peer.host_pid, SIGHUP, group=True)


def receive_message(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return a message and the fds beside it; an empty one at the end.

    Not socket.recv_fds, which drops its flags, MSG_CMSG_CLOEXEC among them.
    """
    fds = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(
        MESSAGE_SIZE, socket.CMSG_SPACE(FD_LIMIT * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def may_enter(connection: socket.socket) -> bool:
    """Whether a peer is this user or root."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("iII", credentials)
    return uid in (0, os.getuid())


def signal_to(host_pid: int, number: int, *, group: bool) -> None:
    """Send a signal to a child of ours that was not reaped yet, or to the group that it leads."""
    if not 0 < number <= SIGNAL_LIMIT:
        raise ValueError(f"signal {number}")
    try:
        if group:
            os.killpg(host_pid, number)
        else:
            os.kill(host_pid, number)
    except OSError:  # it has changed its user, or its group is empty
        return
