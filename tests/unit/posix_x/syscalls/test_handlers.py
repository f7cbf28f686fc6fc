"""The handlers themselves, called through the serve loop by a fake guest."""

from __future__ import annotations

import array
import errno
import os
import socket

import pytest
from unit.exo_um.kernel.fake_guest import FakeGuest

from exo_um.bindings import lib
from exo_um.bindings.port import Port
from exo_um.bindings.region import Region
from exo_um.kernel.instance import Instance
from exo_um.kernel.serve import Server
from posix_x.syscalls import HANDLERS

OPENAT = 257
AT_FDCWD = -100


class World:
    """One fake guest that is this process."""

    def __init__(self) -> None:
        self.instance = Instance(Region())
        self.kr = self.instance.region.kr
        self.kr.kernel_host_pid = os.getppid()
        self.port = Port(self.instance.region, os.eventfd(0))
        self.server = Server(self.instance, self.port, lambda: HANDLERS, spin=False)
        self.guest = FakeGuest(self.instance, self.port)
        self.guest.alive()

    def call(self, nr: int, *args: int) -> int:
        """Make a call; return its result, or the host call that it asks for, negative."""
        self.guest.post(nr, *args)
        return self.step()

    def step(self) -> int:
        for slot in self.port.take():
            self.server.serve(slot)
        self.server.hand_over()
        if self.guest.state() == lib.EXO_FRAME_HOSTCALL:
            return int(-self.guest.frame.host_nr - 10000)
        assert self.guest.state() == lib.EXO_FRAME_REPLY
        return int(self.guest.frame.result)

    def answer(self, result: int) -> int:
        """Answer the host call asked for."""
        self.guest.host_done(result)
        return self.step()

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        self.guest.stage(1, 0, path.encode() + b"\0")
        return self.call(OPENAT, AT_FDCWD, 1, flags, 0)

    def content(self) -> bytes:
        """What the handed-over fd holds."""
        with socket.socket(fileno=os.dup(self.port.guest_channel)) as channel:
            _, control, _, _ = channel.recvmsg(8, 64, socket.MSG_DONTWAIT)
        with os.fdopen(array.array("i", control[0][2])[0], "rb") as file:
            return file.read()

    def path(self) -> bytes:
        """The path to open instead."""
        return self.guest.memory(0, self.guest.frame.data_size)[:-1]


@pytest.fixture
def world() -> World:
    return World()


def test_open_status(world: World) -> None:
    assert world.open("/proc/2/status", os.O_RDONLY | os.O_CLOEXEC) == 0
    assert world.guest.frame.flags == lib.EXO_REPLY_FD | lib.EXO_REPLY_CLOEXEC | lib.EXO_REPLY_TEXT
    lines = world.content().splitlines()
    assert b"Pid:\t2" in lines
    assert b"PPid:\t1" in lines


def test_open_fd_directory(world: World) -> None:
    table = world.guest.task.fd_table = world.instance.region.table_create()
    world.instance.region.table_install(table, 5, 0)
    assert world.open("/proc/2/fd", os.O_RDONLY | os.O_DIRECTORY) == 0
    assert world.guest.frame.flags == lib.EXO_REPLY_FD | lib.EXO_REPLY_DIRECTORY
    records = world.content()
    assert b"5\0" in records
    assert b"0\0" in records  # the number this fd is going to get
    assert len(records) == 4 * 24


def test_proc_shows_only_the_instance(world: World) -> None:
    assert world.open("/proc", os.O_DIRECTORY) == 0
    records = world.content()
    names = []
    while records:
        size = int.from_bytes(records[16:18], "little")
        names.append(records[19:size].partition(b"\0")[0])
        records = records[size:]
    assert [name for name in names if name.isdigit()] == [b"1", b"2"]
    assert {b".", b"..", b"self", b"cpuinfo"} <= set(names)


def test_open_passes(world: World) -> None:
    passed = lib.EXO_REPLY_PASS | lib.EXO_REPLY_PATH
    assert world.open("/proc/2/limits") == 0
    assert (world.guest.frame.flags, world.path()) == (passed, b"/proc/%d/limits" % os.getpid())
    assert world.open("/proc/2/status", os.O_PATH) == 0
    assert (world.guest.frame.flags, world.path()) == (passed, b"/proc/%d/status" % os.getpid())


@pytest.mark.parametrize(
    ("path", "flags", "error"),
    [
        ("/proc/77/stat", os.O_RDONLY, errno.ENOENT),
        ("/proc/2/stat", os.O_RDWR, errno.EACCES),
        ("/proc/2/stat", os.O_DIRECTORY, errno.ENOTDIR),
        ("/proc/2/task", os.O_WRONLY, errno.EISDIR),
    ],
)
def test_open_errors(world: World, path: str, flags: int, error: int) -> None:
    assert world.open(path, flags) == -error
