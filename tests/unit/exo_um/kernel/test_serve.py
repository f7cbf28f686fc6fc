"""The protocol of call frames: replies, host calls, handed-over fds, callers that die."""

from __future__ import annotations

import array
import errno
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest
from unit.exo_um.kernel.fake_guest import FakeGuest

from exo_um.bindings import lib
from exo_um.bindings.port import Port
from exo_um.bindings.region import Region
from exo_um.kernel.call import Call, HostCall, NewFd, Pass
from exo_um.kernel.instance import Instance
from exo_um.kernel.serve import Server

if TYPE_CHECKING:
    from exo_um.kernel.call import Steps

ADD, FAIL, CRASH, ASK, OPEN, PASS, ECHO = range(1, 8)


def add(call: Call) -> int:
    return call.args[0] + call.args[1]


def fail(call: Call) -> int:
    raise OSError(errno.ENOTTY, "no")


def crash(call: Call) -> int:
    raise ZeroDivisionError


def ask(call: Call) -> Steps:
    first = yield HostCall(39)
    second = yield HostCall(97, call.args[0], call.data(1))
    if second < 0:
        return second
    call.wrote(1, 4)
    return first + second


def open_content(call: Call) -> NewFd:
    fd = os.memfd_create("test")
    os.write(fd, b"%d" % call.args[0])
    return NewFd(fd, cloexec=True, directory=True)


def pass_on(call: Call) -> Pass:
    return Pass(b"/host" + call.path(0))


def echo(call: Call) -> int:
    call.write(1, call.read(0).upper())
    return 0


HANDLERS = {
    ADD: add,
    FAIL: fail,
    CRASH: crash,
    ASK: ask,
    OPEN: open_content,
    PASS: pass_on,
    ECHO: echo,
}


class World:
    """An instance with a server, served step by step by the test."""

    def __init__(self) -> None:
        self.signals = os.eventfd(0, os.EFD_CLOEXEC)
        self.instance = Instance(Region())
        self.port = Port(self.instance.region, self.signals)
        self.server = Server(self.instance, self.port, lambda: HANDLERS, spin=True)

    def guest(self) -> FakeGuest:
        return FakeGuest(self.instance, self.port)

    def serve(self) -> None:
        assert self.port.wait(0, 0) & lib.EXO_WAKE_CALLS
        for slot in self.port.take():
            self.server.serve(slot)
        self.server.hand_over()

    def receive(self) -> tuple[bytes, int]:
        """Take the next fd from the channel, as the runtime does: slot and sequence, fd."""
        with socket.socket(fileno=os.dup(self.port.guest_channel)) as channel:
            payload, control, _, _ = channel.recvmsg(8, 64, socket.MSG_DONTWAIT)
        return payload, array.array("i", control[0][2])[0]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    os.close(world.signals)
    os.close(world.port.doorbell)
    os.close(world.instance.region.fd)


def test_result(world: World) -> None:
    guest = world.guest()
    guest.post(ADD, 2, -5)
    world.serve()
    assert guest.state() == lib.EXO_FRAME_REPLY
    assert (guest.frame.result, guest.frame.flags) == (-3, 0)
    assert world.port.wait(0, 0) == 0


@pytest.mark.parametrize(
    ("nr", "error"), [(FAIL, errno.ENOTTY), (CRASH, errno.EIO), (400, errno.ENOSYS)]
)
def test_errors(world: World, nr: int, error: int, capfd: pytest.CaptureFixture[str]) -> None:
    guest = world.guest()
    guest.post(nr)
    world.serve()
    assert guest.frame.result == -error
    assert ("ZeroDivisionError" in capfd.readouterr().err) == (nr == CRASH)


def test_staged_arguments(world: World) -> None:
    guest = world.guest()
    guest.stage(0, 0, b"abc")
    guest.stage(1, 16, bytes(8))
    guest.post(ECHO)
    world.serve()
    assert guest.out(1) == b"ABC"
    guest.stage(1, 16, bytes(2))
    guest.post(ECHO)
    world.serve()
    assert guest.frame.result == -errno.EFAULT
    assert guest.out(1) == b""


def test_frames_cannot_lead_out_of_their_data(world: World) -> None:
    guest = world.guest()
    guest.frame.arg_offset[0], guest.frame.arg_size[0] = lib.EXO_FRAME_DATA_SIZE - 1, 2
    guest.post(ECHO)
    world.serve()
    assert guest.frame.result == -errno.EIO


def test_pass_with_path(world: World) -> None:
    guest = world.guest()
    guest.stage(0, 0, b"/file\0")
    guest.post(PASS)
    world.serve()
    assert guest.frame.flags == lib.EXO_REPLY_PASS | lib.EXO_REPLY_PATH
    assert guest.memory(0, guest.frame.data_size) == b"/host/file\0"


def test_a_path_too_long_is_refused(world: World) -> None:
    guest = world.guest()
    guest.stage(0, 0, b"x" * lib.EXO_PATH_SIZE + b"\0")
    guest.post(PASS)
    world.serve()
    assert (guest.frame.result, guest.frame.flags) == (-errno.ENAMETOOLONG, 0)


def test_host_calls(world: World) -> None:
    guest, other = world.guest(), world.guest()
    guest.stage(1, 32, bytes(16))
    guest.post(ASK, 7)
    world.serve()
    assert guest.state() == lib.EXO_FRAME_HOSTCALL
    assert (guest.frame.host_nr, guest.frame.host_data) == (39, 0)
    other.post(ADD, 1, 1)  # nobody waits for the first guest
    world.serve()
    assert other.frame.result == 2
    guest.host_done(100)
    world.serve()
    assert list(guest.frame.host_args)[:2] == [7, 32]
    assert (guest.frame.host_nr, guest.frame.host_data) == (97, 2)
    guest.host_done(11)
    world.serve()
    assert guest.state() == lib.EXO_FRAME_REPLY
    assert (guest.frame.result, guest.frame.out_size[1]) == (111, 4)


def test_a_new_call_replaces_that_of_a_dead_task(world: World) -> None:
    guest = world.guest()
    guest.post(ASK)
    world.serve()
    guest.post(ADD, 3, 4)  # the slot's next owner
    world.serve()
    assert (guest.state(), guest.frame.result) == (lib.EXO_FRAME_REPLY, 7)


def test_a_late_reply_is_dropped(world: World) -> None:
    guest = world.guest()
    guest.post(ADD)
    world.port.reply(guest.slot, guest.frame.sequence - 1, 99, 0)
    assert guest.state() == lib.EXO_FRAME_POSTED
    world.serve()
    world.port.reply(guest.slot, guest.frame.sequence, 99, 0)
    assert guest.frame.result == 99  # written, but nothing is published twice
    assert guest.state() == lib.EXO_FRAME_REPLY


def test_fds_are_handed_over_one_at_a_time(world: World) -> None:
    first, second = world.guest(), world.guest()
    first.alive()
    first.post(OPEN, 1)
    second.post(OPEN, 2)
    world.serve()
    assert first.state() == lib.EXO_FRAME_REPLY
    assert first.frame.flags == (lib.EXO_REPLY_FD | lib.EXO_REPLY_CLOEXEC | lib.EXO_REPLY_DIRECTORY)
    assert second.state() == lib.EXO_FRAME_POSTED
    payload, fd = world.receive()
    assert payload == first.slot.to_bytes(4, "little") + first.frame.sequence.to_bytes(4, "little")
    assert os.pread(fd, 9, 0) == b"1"
    os.close(fd)
    first.frame.state = lib.EXO_FRAME_IDLE
    world.server.hand_over()
    assert second.state() == lib.EXO_FRAME_REPLY
    payload, fd = world.receive()
    assert os.pread(fd, 9, 0) == b"2"
    os.close(fd)


def test_a_dead_receiver_blocks_nobody(world: World) -> None:
    dead, second = world.guest(), world.guest()  # nobody holds dead's alive lock
    dead.post(OPEN, 1)
    second.post(OPEN, 2)
    world.serve()
    payload, fd = world.receive()  # dead's message was drained
    assert payload[:4] == second.slot.to_bytes(4, "little")
    assert os.pread(fd, 9, 0) == b"2"
    os.close(fd)


def test_loop_sleeps_wakes_and_ends(world: World) -> None:
    guest = world.guest()
    over = Event()
    with ThreadPoolExecutor(1) as executor:
        loop = executor.submit(world.server.run, over.is_set, lambda: None, 1_000_000)
        for i in range(200):
            if i % 50 == 0:
                while not world.instance.region.kr.kernel_sleeping:
                    os.sched_yield()
            guest.post(ADD, i, 1)
            guest.wait_for(lib.EXO_FRAME_REPLY)
            assert guest.frame.result == i + 1
        over.set()
        os.eventfd_write(world.signals, 1)
        loop.result(10)


def test_more_calls_than_one_batch(world: World) -> None:
    guests = [world.guest() for _ in range(100)]
    for i, guest in enumerate(guests):
        guest.post(ADD, i, i)
    world.serve()
    world.serve()
    assert [guest.frame.result for guest in guests] == [2 * i for i in range(100)]
