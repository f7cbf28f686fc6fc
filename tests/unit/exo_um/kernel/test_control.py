"""What an instance answers on its control socket, and what it makes of nonsense."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exo_um.bindings.region import Region, RegionView
from exo_um.kernel import control
from exo_um.kernel.control import Control, Joining, receive_message
from exo_um.kernel.instance import Instance
from exo_um.kernel.reaper import Reaper
from exo_um.kernel.recording import Recording
from exo_um.kernel.rundir import Entry


class Served:
    """An instance without guests, served by hand, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.instance = Instance(Region())
        self.instance.name, self.instance.argv = "x", [b"prog", b"a b"]
        self.reaper = Reaper(self.instance.tasks, 0)
        self.entry = Entry({"XDG_RUNTIME_DIR": str(folder)}, "x")
        self.joined: list[Joining] = []
        self.start: Callable[[Joining], tuple[int, int]] = self.remember
        recording = Recording(self.instance.region)
        self.control = Control(self.instance, self.reaper, self.entry.fd, self.begin, recording)
        self.client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.client.settimeout(5)
        self.client.connect(str(folder / "exo-um" / "x"))
        self.control.serve()

    def begin(self, joining: Joining) -> tuple[int, int]:
        return self.start(joining)

    def remember(self, joining: Joining) -> tuple[int, int]:
        self.joined.append(joining)
        # Other tests, or who started them, may have left signals blocked or ignored.
        return 7, os.posix_spawn(
            "/bin/sleep",
            ["sleep", "100"],
            {},
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGHUP, signal.SIGTERM],
        )

    def ask(self, request: object, *fds: int) -> tuple[dict[str, Any], list[int]]:
        data = request if isinstance(request, bytes) else json.dumps(request).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.client.sendmsg([data], rights)
        self.control.serve()
        return self.answer()

    def answer(self) -> tuple[dict[str, Any], list[int]]:
        data, fds = receive_message(self.client)
        return (json.loads(data) if data else {}), fds


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.client.close()
    served.control._listener.detach()  # the entry's fd: the number will be somebody else's
    served.entry.remove()


def joining_text(*words: bytes) -> int:
    fd = os.memfd_create("text")
    os.write(fd, b"".join(word + b"\0" for word in words))
    return fd


JOIN = {
    "op": "join",
    "argc": 2,
    "fds": ["text", "directory", "stdout"],
    "terminal": False,
    "detach": False,
    "umask": 0o27,
    "ignored": 1,
    "blocked": 2,
}


def test_describe(served: Served) -> None:
    answer, fds = served.ask({"op": "describe"})
    assert answer == {"name": "x", "pid": os.getpid(), "argv": ["prog", "a b"]}
    view = RegionView(fds[0])
    assert view.kr.tasks[0].tid == 1
    assert fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert not os.get_inheritable(fds[0])
    os.close(fds[0])


@pytest.mark.parametrize(
    "request_",
    [
        b"\xff",
        b"[]",
        {},
        {"op": "nonsense"},
        {"op": "join"},
        {"op": "join", "fds": ["text"]},
        {**JOIN, "fds": []},
    ],
)
def test_nonsense_is_refused(served: Served, request_: object) -> None:
    answer, _ = served.ask(request_)
    assert answer["error"]
    assert not served.joined


def test_join_and_its_end(served: Served) -> None:
    text = joining_text(b"/bin/p", b"p", b"", b"A=1", b"B=x=y", b"none")
    directory = os.open("/", os.O_RDONLY)
    answer, _ = served.ask(JOIN, text, directory, 1)
    assert answer == {"pid": 7}
    joining = served.joined[0]
    assert (joining.path, joining.argv) == (b"/bin/p", [b"p", b""])
    assert joining.env == {b"A": b"1", b"B": b"x=y"}
    assert joining.open == [1]
    assert (joining.place.umask, joining.place.ignored, joining.place.blocked) == (0o27, 1, 2)
    served.client.send(json.dumps({"op": "signal", "number": 15, "group": True}).encode())
    served.control.serve()
    while served.reaper._watched:
        served.reaper.reap()
    assert served.answer()[0] == {"status": 15}
    assert served.ask({"op": "describe"})[0]["pid"] == os.getpid()
    os.close(text)
    os.close(directory)


def test_hanging_up_hangs_the_program_up(served: Served) -> None:
    text, directory = joining_text(b"p"), os.open("/", os.O_RDONLY)
    served.ask({**JOIN, "argc": 0}, text, directory, 1)
    ended: list[int] = []
    host_pid = next(iter(served.reaper._watched))
    served.client.close()
    served.reaper.watch(host_pid, ended.append)
    while not ended:  # until the program has executed, it has our end open, too
        served.control.serve()
        served.reaper.reap()
    assert ended == [1]
    os.close(text)
    os.close(directory)


def test_refused_start_is_told(served: Served) -> None:
    def refuse(_: Joining) -> tuple[int, int]:
        raise OSError(13, "Permission denied")

    served.start = refuse
    text, directory = joining_text(b"p"), os.open("/", os.O_RDONLY)
    assert served.ask({**JOIN, "argc": 0}, text, directory, 1)[0] == {"error": "Permission denied"}
    os.close(text)
    os.close(directory)


def test_strangers_are_turned_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stranger:
        def getsockopt(self, *_: int) -> bytes:
            return struct.pack("iII", 5, os.getuid() + 1, 5)

    assert control.may_enter(served.client)
    assert not control.may_enter(Stranger())  # type: ignore[arg-type]
