"""Rings from Python: the C core and numba on the same memory, with and without its compiler."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from plainpython import IS_PLAIN, run_plain

from exo_um.bindings import ffi, lib
from exo_um.bindings.shared import Shared
from exo_um.ipc import block_jit, ring_jit, wait_jit
from exo_um.ipc.ring import Kind, Message, Ring, WaitPolicy

COUNT = 2000


def native_push(ring: Ring, data: bytes, kind: int) -> int:
    try:
        ring.push(data, kind)
    except OSError as error:
        return -error.errno
    return 0


def native_pop(ring: Ring) -> Message | int:
    try:
        return ring.pop()
    except OSError as error:
        return -error.errno


def jit_push(ring: Ring, data: bytes, kind: int) -> int:
    array = np.frombuffer(data, np.uint8)
    return int(ring_jit.push(ring.address, 0, kind, array.ctypes.data, len(data)))


def jit_pop(ring: Ring) -> Message | int:
    out = ffi.new("struct exo_message *")
    error = ring_jit.pop(ring.address, 0, int(ffi.cast("uintptr_t", out)))
    return Message(bytes(ffi.buffer(out.payload, out.size)), out.type) if error == 0 else error


@dataclass
class Side:
    """One end of a ring: the C core's, or numba's."""

    push: Callable[[Ring, bytes, int], int]
    pop: Callable[[Ring], Message | int]


SIDES = {"c": Side(native_push, native_pop), "numba": Side(jit_push, jit_pop)}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("consumer", SIDES)
@pytest.mark.parametrize("producer", SIDES)
def test_messages(producer: str, consumer: str, kind: Kind) -> None:
    push, pop = SIDES[producer].push, SIDES[consumer].pop
    ring = Ring.create(2, kind)
    for lap in range(50):
        assert pop(ring) == -errno.EAGAIN
        for i in range(4):
            assert push(ring, bytes([lap, i]) * 7 * (i + 1), 10 + i) == 0
        assert push(ring, b"x", 0) == -errno.EAGAIN
        assert len(ring) == 4
        for i in range(4):
            assert pop(ring) == Message(bytes([lap, i]) * 7 * (i + 1), 10 + i)
    assert push(ring, bytes(57), 0) == -errno.EMSGSIZE
    assert push(ring, b"last", 1) == 0
    ring.close()
    assert push(ring, b"late", 1) == -errno.EPIPE
    assert pop(ring) == Message(b"last", 1)
    assert pop(ring) == -errno.EPIPE


@pytest.mark.parametrize("kind", list(Kind))
def test_batches(kind: Kind) -> None:
    ring = Ring.create(5, kind)
    numbers = np.arange(40, dtype=np.uint64)
    messages = np.zeros((40, ffi.sizeof("struct exo_message")), np.uint8)
    for count in range(1, 41):
        pushed = ring_jit.push_many(ring.address, 0, 3, numbers.ctypes.data, 8, count)
        assert pushed == min(count, 32)
        popped = ring_jit.pop_many(ring.address, 0, messages.ctypes.data, 40)
        assert popped == pushed
        assert (messages[:popped, 8:16].copy().view(np.uint64)[:, 0] == numbers[:popped]).all()
    assert ring_jit.pop_many(ring.address, 0, messages.ctypes.data, 40) == -errno.EAGAIN
    assert ring_jit.push_many(ring.address, 0, 3, numbers.ctypes.data, 57, 1) == -errno.EMSGSIZE
    assert ring_jit.push_many(ring.address, 0, 3, numbers.ctypes.data, 8, 2) == 2
    ring.close()
    assert ring_jit.push_many(ring.address, 0, 3, numbers.ctypes.data, 8, 2) == -errno.EPIPE
    assert ring_jit.pop_many(ring.address, 0, messages.ctypes.data, 40) == 2
    assert ring_jit.pop_many(ring.address, 0, messages.ctypes.data, 40) == -errno.EPIPE


def test_waits() -> None:
    ring = Ring.create(1)
    brief = WaitPolicy(10, 1, timeout=0.01)
    with pytest.raises(TimeoutError):
        ring.pop_wait(brief)
    out = ffi.new("struct exo_message *")
    address = int(ffi.cast("uintptr_t", out))
    sleeper, for_room = Ring.sleepers()
    assert wait_jit.pop_wait(ring.address, 0, address, brief.address, sleeper) == -errno.ETIMEDOUT
    for _ in range(2):
        ring.push_wait(b"a", brief)
    with pytest.raises(TimeoutError):
        ring.push_wait(b"a", brief)
    late = wait_jit.push_wait(ring.address, 0, 0, address, 1, brief.address, for_room)
    assert late == -errno.ETIMEDOUT
    assert wait_jit.pop_wait(ring.address, 0, address, brief.address, sleeper) == 0


def pool_of(shared: Shared, at: int, blocks: int) -> int:
    pool = shared.pointer("struct exo_pool *", at)
    assert lib.exo_pool_init(pool, 4096, blocks) == 0
    return shared.address + at


def test_blocks() -> None:
    at = 4096 * (1 + lib.exo_ring_size(4) // 4096)
    shared = Shared.create(at + lib.exo_pool_size(4096, 4))
    ring = shared.pointer("struct exo_ring *", 0)
    assert lib.exo_ring_init(ring, 4, Kind.MPMC, 0) == 0
    pool = pool_of(shared, at, 4)
    native_pool = shared.pointer("struct exo_pool *", at)
    for _ in range(10):
        index = block_jit.block_create(pool, 1)
        ffi.buffer(ffi.cast("char *", block_jit.block_at(pool, index)), 4096)[:5] = b"block"
        assert ring_jit.send_block(shared.address, 2, 0, pool, index, 5) == -errno.EBADF
        assert ring_jit.send_block(shared.address, 1, 0, pool, index, 5000) == -errno.EMSGSIZE
        assert ring_jit.send_block(shared.address, 1, 0, pool, index, 5) == 0
        pools, where, size = (
            ffi.new("struct exo_pool **"),
            ffi.new("uint32_t *"),
            ffi.new("uint64_t *"),
        )
        assert lib.exo_ring_receive_block(ring, 2, pools, where, size) == 0
        assert (pools[0], where[0], size[0]) == (native_pool, index, 5)
        assert lib.exo_ring_send_block(ring, 2, 0, native_pool, index, 5) == 0
        assert ring_jit.receive_block(shared.address, 3) == (pool, index, 5)
        assert bytes(ffi.buffer(ffi.cast("char *", block_jit.block_at(pool, index)), 5)) == b"block"
        block_jit.block_free(pool, index, 3)
        assert lib.exo_pool_free_count(native_pool) == 4
    assert native_pool.copied == 0
    shared.close()


def test_copies() -> None:
    """Numba and C copy into and out of the same block, and the counter knows of both."""
    shared = Shared.create(lib.exo_pool_size(4096, 2))
    pool, native_pool = pool_of(shared, 0, 2), shared.pointer("struct exo_pool *", 0)
    data, back = np.arange(4096, dtype=np.uint8), np.zeros(4097, np.uint8)
    assert block_jit.block_create(pool, 1) == 0
    assert block_jit.block_write(pool, 0, data.ctypes.data, 4096) == 0
    assert lib.exo_block_read(native_pool, 0, ffi.cast("void *", back.ctypes.data), 4096) == 0
    assert (back[:4096] == data).all()
    assert native_pool.copied == 8192
    assert lib.exo_block_write(native_pool, 0, ffi.from_buffer(data[::-1].copy()), 100) == 0
    assert block_jit.block_read(pool, 0, back.ctypes.data, 100) == 0
    assert (back[:100] == data[::-1][:100]).all()
    assert native_pool.copied == 8392
    assert block_jit.block_read(pool, 0, back.ctypes.data, 4097) == -errno.EMSGSIZE
    assert block_jit.block_write(pool, 0, back.ctypes.data, 4097) == -errno.EMSGSIZE
    assert native_pool.copied == 8392
    shared.close()


CONSUMER = """
import sys
import numpy as np
from exo_um.bindings.shared import Shared
from exo_um.ipc import wait_jit
from exo_um.ipc.ring import Ring, WaitPolicy

there, back = (Ring(Shared(int(fd))) for fd in sys.argv[1:])
policy, message = WaitPolicy(), np.zeros(64, np.uint8)
sleeper, for_room = Ring.sleepers()
at = message.ctypes.data
while wait_jit.pop_wait(there.address, 0, at, policy.address, sleeper) == 0:
    wait_jit.push_wait(back.address, 0, 1, at + 8, int(message[2]), policy.address, for_room)
back.close()
"""


def test_processes() -> None:
    """C sends, numba in another process sends back."""
    there, back = Ring.create(4, Kind.SPSC), Ring.create(4, Kind.MPMC)
    fds = (there.shared.fd, back.shared.fd)
    child = subprocess.Popen([sys.executable, "-P", "-c", CONSUMER, *map(str, fds)], pass_fds=fds)
    policy = WaitPolicy()
    for i in range(COUNT):
        there.push_wait(i.to_bytes(8, "little"), policy)
        assert back.pop_wait(policy) == Message(i.to_bytes(8, "little"), 1)
    there.close()
    with pytest.raises(BrokenPipeError):
        back.pop_wait(policy)
    assert child.wait() == 0


def test_foreign_memory() -> None:
    fd = os.memfd_create("foreign")
    os.truncate(fd, 4096)
    with pytest.raises(PermissionError):
        Shared(fd)
    os.close(fd)


@pytest.mark.skipif(IS_PLAIN, reason="this is that run")
def test_plain_python() -> None:
    run_plain(__file__)
