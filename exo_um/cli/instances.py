"""Running instances as the commands beside `run` see them: finding, describing, looking into."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

import click
import psutil

from exo_um.bindings.region import RegionView
from exo_um.kernel import rundir
from exo_um.kernel.control import receive_message
from exo_um.kernel.tasks import Tasks

ANSWER_S = 5.0  # a kernel process that is alive and not stopped answers in milliseconds


class Instance:
    """A connection to a running instance."""

    def __init__(self, name: str, connection: socket.socket) -> None:
        """Take a connection. Errors: PermissionError, its other end is neither ours nor root's."""
        self.name = name
        self.connection = connection
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.host_pid, uid, _ = struct.unpack("iII", credentials)
        if uid not in (os.getuid(), 0):
            raise PermissionError(f"instance {name} belongs to user {uid}")
        self.argv: list[str] = []
        self._region: RegionView | None = None

    @property
    def tasks(self) -> Tasks:
        """Return the task table, which goes on changing. Errors: OSError, it does not answer."""
        if self._region is None:
            region = self._describe_stopped() if is_stopped(self.host_pid) else self._describe()
            try:
                self._region = RegionView(region)
            finally:
                os.close(region)
        return Tasks(self._region)

    def _describe(self) -> int:
        answer, fds = self.ask({"op": "describe"})
        self.argv = answer["argv"]
        return fds[0]

    def _describe_stopped(self) -> int:
        """Take what a kernel process that does not run would have told us from the host."""
        words = psutil.Process(self.host_pid).cmdline()
        self.argv = words[words.index("run") :] if "run" in words else words
        for path in Path(f"/proc/{self.host_pid}/fd").iterdir():
            if str(path.readlink()).startswith("/memfd:exo-kr"):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        raise OSError(f"instance {self.name} is stopped and not to be looked into")

    def ask(
        self, request: dict[str, Any], fds: tuple[int, ...] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        """Send a request and wait for the answer. Errors: OSError, it refuses or is silent."""
        socket.send_fds(self.connection, [json.dumps(request).encode()], list(fds))
        return self.receive()

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Wait for an answer and its fds. Errors: OSError, it ends, refuses or does not answer."""
        try:
            data, fds = receive_message(self.connection)
        except TimeoutError:
            raise OSError(f"instance {self.name} does not answer; is it stopped?") from None
        if not data:
            raise OSError(f"instance {self.name} has ended")
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise OSError(answer["error"])
        return answer, fds

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def is_stopped(host_pid: int) -> bool:
    """Whether a process is stopped, as by Ctrl-Z."""
    try:
        status: str = psutil.Process(host_pid).status()
    except psutil.NoSuchProcess:
        return False
    return status == psutil.STATUS_STOPPED


def connect(directory: int, name: str) -> Instance | None:
    """Connect to an entry of the run directory; None if it is not there or dead."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{name}")
        return Instance(name, connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError:
        connection.close()
        raise


def running() -> list[Instance]:
    """Connect to all running instances of this user."""
    directory = rundir.open_directory(os.environ, create=False)
    if directory is None:
        return []
    try:
        found = [connect(directory, name) for name in rundir.names(directory)]
        return [instance for instance in found if instance is not None]
    finally:
        os.close(directory)


def find(name: str) -> Instance:
    """Connect to one instance. Errors: ClickException, there is none of that name."""
    directory = rundir.open_directory(os.environ, create=False)
    if directory is not None:
        try:
            rundir.names(directory)  # clears what dead ones have left
            instance = connect(directory, name) if rundir.is_name(name) else None
        finally:
            os.close(directory)
        if instance is not None:
            return instance
    raise click.ClickException(f"no such instance: {name}; exo-um ps lists them")


def chosen(name: str | None) -> list[Instance]:
    """Connect to the instance of that name, or to all."""
    return running() if name is None else [find(name)]
