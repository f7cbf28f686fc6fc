"""Channels within a process, and between processes that come, go and are killed."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exo_um.bindings.shared import Shared
from exo_um.std import Channel, ChannelClosed, PeerLost, channel

CHILD = """
import os, sys, time
import numpy as np
from exo_um.std import channel, ChannelClosed
"""


def start(program: str, *channels: Channel[Any]) -> subprocess.Popen[bytes]:
    """A Python process that has the channels' fds as its arguments."""
    fds = [ch.fileno() for ch in channels]
    command = [sys.executable, "-P", "-c", CHILD + program, *map(str, fds)]
    return subprocess.Popen(command, pass_fds=fds, stdout=subprocess.PIPE)


def test_sizes() -> None:
    ch = channel[bytes](largest=1 << 20)
    for size in (0, 1, 55, 56, 57, 4095, 4096, 4097, 65536, 65537, 1 << 20):
        data = random.Random(size).randbytes(size)
        ch.send(data)
        assert len(ch) == 1
        assert ch.receive() == data
        ch.send(bytearray(data))
        assert bytes(ch.receive_view()) == data
    with pytest.raises(OSError, match="too long") as raised:
        ch.send(bytes((1 << 20) + 1))
    assert raised.value.errno == errno.EMSGSIZE
    assert ch.memory.free_blocks == [256, 64, 16]


def test_batches() -> None:
    ch = channel[bytes](64)
    messages = [bytes([i]) * (i * 3) for i in range(60)]
    ch.send_many(messages)
    assert ch.receive_many(7) == messages[:7]
    assert ch.receive_many(1000) == messages[7:]
    with pytest.raises(ValueError, match="limit"):
        ch.receive_many(0)
    with pytest.raises(BlockingIOError):
        ch.receive_many(5, timeout=0)
    assert ch.take(None) is None


def test_waits() -> None:
    ch = channel[bytes](2, blocks=2, largest=4096)
    with pytest.raises(TimeoutError):
        ch.receive(timeout=0.01)
    ch.send_many([b"a", b"b"])
    with pytest.raises(BlockingIOError):
        ch.send(b"c", 0)
    with pytest.raises(TimeoutError):
        ch.send(b"c", timeout=0.01)
    assert ch.receive_many(9) == [b"a", b"b"]
    blocks = [ch.allocate_block(4096) for _ in range(2)]
    with pytest.raises(TimeoutError):
        ch.send(bytes(100), timeout=0.01)
    threading.Timer(0.01, blocks.clear).start()
    ch.send(bytes(100))
    for wrong in (-1, float("nan"), "soon"):
        with pytest.raises((ValueError, TypeError)):
            ch.receive(wrong)  # type: ignore[arg-type]
    for odd in (0, 1, 3, 1 << 21):
        with pytest.raises(ValueError, match="power of two"):
            channel[bytes](odd)


def test_close() -> None:
    ch = channel[str]()
    ch.send("last")
    ch.close()
    with pytest.raises(ChannelClosed) as raised:
        ch.send("late")
    assert raised.value.errno == errno.EPIPE
    assert list(ch) == ["last"]
    with pytest.raises(ChannelClosed):
        ch.receive()
    with ch:
        pass
    with pytest.raises(OSError, match="Bad file") as left:
        ch.receive()
    assert left.value.errno == errno.EBADF


def test_threads() -> None:
    """Three senders, three receivers, backpressure; each message arrives once, in its order."""
    ch, count = channel[int](16), 3000
    got: list[list[int]] = [[] for _ in range(3)]
    senders = [
        threading.Thread(target=lambda n=n: [ch.send(n << 32 | i) for i in range(count)])
        for n in range(3)
    ]
    receivers = [threading.Thread(target=lambda n=n: got[n].extend(ch)) for n in range(3)]
    for thread in senders + receivers:
        thread.start()
    for thread in senders:
        thread.join()
    ch.close()
    for thread in receivers:
        thread.join()
    assert sorted(m for one in got for m in one) == [
        n << 32 | i for n in range(3) for i in range(count)
    ]
    for one in got:
        for n in range(3):
            mine = [m for m in one if m >> 32 == n]
            assert mine == sorted(mine)


def test_interrupt() -> None:
    """A signal's handler runs while a receive waits, and may end it."""
    ch = channel[bytes]()
    before = signal.signal(signal.SIGUSR1, lambda *_: ch.send(b"from the handler"))
    try:
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert ch.receive(timeout=5) == b"from the handler"
    finally:
        signal.signal(signal.SIGUSR1, before)


ECHO = """
there, back = (channel[bytes].join(int(fd)) for fd in sys.argv[1:])
for message in there:
    back.send(message)
"""


def test_processes() -> None:
    there, back = channel[bytes](), channel[bytes]()
    child = start(ECHO, there, back)
    for size in [0, 8, 56, 57, 5000, 200000] * 20:
        data = bytes([size & 255]) * size
        there.send(data)
        assert back.receive() == data
    there.close()
    with pytest.raises(ChannelClosed):
        back.receive()
    assert child.wait() == 0
    assert there.memory.free_blocks == [256, 64, 16]


def test_other_type() -> None:
    ch = channel[bytes]()
    with pytest.raises(TypeError, match="carries bytes, not str"):
        channel[str].join(os.dup(ch.fileno()))
    assert ch.senders == 0


def test_socket() -> None:
    ours, theirs = socket.socketpair()
    ch = channel[float]()
    ch.send_over(ours)
    other = channel[float].receive_from(theirs)
    other.send(2.5)
    assert ch.receive() == 2.5
    assert (ch.senders, ch.receivers) == (1, 0)
    del other
    with pytest.raises(ChannelClosed):
        ch.receive()
    ours.send(b"no fd")
    with pytest.raises(ChannelClosed):
        channel[float].receive_from(theirs)
    ours.close()
    theirs.close()


def test_fork() -> None:
    """A forked child has an end of its own: it can use the channel, die, and be noticed."""
    ch, back = channel[bytes](), channel[bytes]()
    held = ch.allocate_block(100)
    child = os.fork()
    if child == 0:
        del held  # the parent's
        back.send(ch.receive())
        _kept = back.allocate_block(10)
        os.kill(os.getpid(), signal.SIGKILL)
    ch.send(b"to the child")
    assert back.receive() == b"to the child"
    with pytest.raises(PeerLost):
        back.receive()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    back.memory.bury()
    assert back.memory.free_blocks == [256, 64, 16]
    assert sum(ch.memory.free_blocks) == 335
    del held
    assert ch.memory.free_blocks == [256, 64, 16]


KILLED = """
ch = channel[np.ndarray].join(int(sys.argv[1]))
kept = [ch.allocate(1000) for _ in range(10)]
for i in range(5):
    ch.send(np.full(1000, i, "u1"))
os.kill(os.getpid(), 9)
"""


def test_killed() -> None:
    """What a killed process has sent arrives; what it held comes back."""
    ch = channel[np.ndarray](largest=65536)
    child = start(KILLED, ch)
    arrays = [ch.receive() for _ in range(5)]
    with pytest.raises(PeerLost) as raised:
        ch.receive()
    assert raised.value.errno == errno.EPIPE
    assert [int(a[999]) for a in arrays] == [0, 1, 2, 3, 4]
    assert child.wait() == -signal.SIGKILL
    assert sum(ch.memory.free_blocks) == 256 + 16 - 5
    del arrays
    assert ch.memory.free_blocks == [256, 16]


STORM = """
ch = channel[bytes].join(int(sys.argv[1]))
for i in range(10**9):
    ch.send(i.to_bytes(8, "little") * (1 if i % 3 else 40))
"""


def test_storm() -> None:
    """Senders killed anywhere: all that arrives is whole and in order, no block is lost."""
    chance = random.Random(4)
    for _ in range(12):
        ch = channel[bytes](64)
        child = start(STORM, ch)
        limit = chance.randrange(500, 3000)
        last = -1
        with pytest.raises(PeerLost):  # noqa: PT012
            while True:
                message = ch.receive()
                now = int.from_bytes(message[:8], "little")
                assert now == last + 1
                assert message == message[:8] * (1 if now % 3 else 40)
                last = now
                if now == limit:
                    child.kill()
        child.wait()
        ch.memory.bury()
        assert ch.memory.free_blocks == [256, 64, 16]


DRAIN = """
ch = channel[bytes].join(int(sys.argv[1]))
for message in ch:
    pass
"""


def test_killed_receiver() -> None:
    """Who sends to nobody is told, while it waits for room."""
    ch = channel[bytes](64)
    child = start(DRAIN, ch)
    for _ in range(500):
        ch.send(bytes(100))
    child.kill()
    with pytest.raises(PeerLost):  # noqa: PT012
        while True:
            ch.send(bytes(100))
    child.wait()


def foreign(change: Callable[[memoryview], None]) -> int:
    """A memfd with a channel in it that somebody has changed."""
    ch = channel[bytes](64, largest=4096, blocks=2)
    whole = ch.memory.shared.buffer(0, ch.memory.shared.size)
    made = Shared.create(len(whole))
    copy = made.buffer(0, made.size)
    copy[:] = whole[:]
    change(memoryview(copy))
    return made.fd


@pytest.mark.parametrize("at", [0, 8, 16, 24, 32, 64])
def test_garbage(at: int) -> None:
    """Memory that is no channel, or leads out of itself, is refused."""

    def change(memory: memoryview) -> None:
        memory[at : at + 8] = b"\xf0" * 8

    with pytest.raises(OSError, match="Bad message") as raised:
        channel[bytes].join(foreign(change))
    assert raised.value.errno == errno.EBADMSG


def test_imports() -> None:
    """Neither numpy nor numba nor asyncio for those who use none."""
    program = "import sys, exo_um.std as s; s.channel[bytes]().send(b''); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=True)
    assert not {b"numpy", b"numba", b"asyncio"} & set(done.stdout.split())
