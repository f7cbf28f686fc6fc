"""Owners' numbers: one for each process, another's only after repair; SIGKILL anywhere in numba."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from exo_um.bindings import ffi, lib
from exo_um.bindings.atomic_jit import (
    jit,
    load_acquire_u64,
    load_relaxed_u64,
    store_relaxed_u64,
)
from exo_um.bindings.shared import Shared
from exo_um.ipc import block_jit, ring_jit
from exo_um.ipc.owner import Owners
from exo_um.ipc.ring import Kind

BLOCKS, BLOCK_SIZE = 24, 4096
RING_AT, POOL_AT, FLAGS_AT = 4096, 16384, 8192
ROUNDS, CHILDREN = 40, 3


def make() -> tuple[Shared, Owners]:
    """A roster of 7, a ring and a pool in memory of their own."""
    shared = Shared.create(POOL_AT + lib.exo_pool_size(BLOCK_SIZE, BLOCKS))
    owners = Owners.create(shared, count=8)
    assert lib.exo_ring_init(shared.pointer("struct exo_ring *", RING_AT), 4, Kind.MPMC, 0) == 0
    assert lib.exo_pool_init(shared.pointer("struct exo_pool *", POOL_AT), BLOCK_SIZE, BLOCKS) == 0
    owners.register(RING_AT)
    owners.register(POOL_AT)
    return shared, owners


def free_count(shared: Shared) -> int:
    return int(lib.exo_pool_free_count(shared.pointer("struct exo_pool *", POOL_AT)))


def test_numbers() -> None:
    shared, owners = make()
    assert owners.number == 0
    first = owners.join()
    assert first == owners.join() == owners.number
    assert owners.is_alive(first)
    assert owners.generation(first) == 1
    others = [Owners(shared) for _ in range(6)]
    assert len({first, *(other.join() for other in others)}) == 7
    with pytest.raises(BlockingIOError):
        Owners(shared).join()
    owners.leave()
    assert not owners.is_alive(first)
    assert owners.join() == first
    assert owners.generation(first) == 2
    for each in (owners, *others):
        each.close()
    with pytest.raises(OSError, match="Bad file"):
        Owners(shared, 64)
    with pytest.raises(OSError, match="Bad file"):
        owners.register(FLAGS_AT)
    shared.close()


DYING = """
import os, signal, sys
from exo_um.bindings.shared import Shared
from exo_um.bindings import lib
from exo_um.ipc.owner import Owners

shared = Shared(int(sys.argv[1]))
number = Owners(shared).join()
lib.exo_block_create(shared.pointer("struct exo_pool *", int(sys.argv[2])), number)
print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_dead_process() -> None:
    """Its number is another's with the next generation, and its block is back by then."""
    shared, owners = make()
    owners.join()
    command = [sys.executable, "-P", "-c", DYING, str(shared.fd), str(POOL_AT)]
    done = subprocess.run(command, pass_fds=[shared.fd], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    number = int(done.stdout)
    assert not owners.is_alive(number)
    assert free_count(shared) == BLOCKS - 1
    others = [Owners(shared) for _ in range(6)]
    assert number in [other.join() for other in others]
    assert free_count(shared) == BLOCKS
    assert owners.generation(number) == 2
    for each in (owners, *others):
        each.close()
    shared.close()


@jit
def churn(ring: int, pool: int, owner: int, finish: int, limit: int) -> int:
    """Send blocks and receive some, till finish is set; how many were not what was sent."""
    wrong = 0
    for i in range(limit):
        if load_acquire_u64(finish) != 0:
            break
        index = block_jit.block_create(pool, owner)
        if index >= 0:
            at = block_jit.block_at(pool, index)
            store_relaxed_u64(at, i)
            store_relaxed_u64(at + BLOCK_SIZE - 8, i)
            if ring_jit.send_block(ring, owner, 1, pool, index, BLOCK_SIZE) != 0:
                block_jit.block_free(pool, index, owner)
        _, got, _ = ring_jit.receive_block(ring, owner)
        if got >= 0:
            at = block_jit.block_at(pool, got)
            wrong += load_relaxed_u64(at) != load_relaxed_u64(at + BLOCK_SIZE - 8)
            block_jit.block_free(pool, got, owner)
    return wrong


def run_child(shared: Shared, owners: Owners) -> int:
    """Play a process in a forked child, which has no number of its parent's."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        number = owners.join()
        base, flags = shared.address, shared.address + FLAGS_AT
        started = np.frombuffer(shared.buffer(FLAGS_AT + 8, 64), np.uint64)
        started[number] = 1
        status = int(churn(base + RING_AT, base + POOL_AT, number, flags, 1 << 40) != 0)
    finally:
        os._exit(status)


def drain(shared: Shared, owner: int) -> None:
    ring, pool = shared.address + RING_AT, shared.address + POOL_AT
    while True:
        _, index, _ = ring_jit.receive_block(ring, owner)
        if index == -errno.EAGAIN:
            return
        if index >= 0:
            block_jit.block_free(pool, index, owner)


def test_killed_anywhere() -> None:
    """Of processes in numba's code one is killed at a time; all blocks come back."""
    shared, owners = make()
    own = owners.join()
    words = np.frombuffer(shared.buffer(FLAGS_AT, 72), np.uint64)
    base = shared.address
    churn(base + RING_AT, base + POOL_AT, own, base + FLAGS_AT, 100)
    chance = random.Random(5)
    for _ in range(ROUNDS):
        words[:] = 0
        pids = [run_child(shared, owners) for _ in range(CHILDREN)]
        end = time.monotonic() + 20
        while words[1:].sum() < CHILDREN and time.monotonic() < end:
            os.sched_yield()
        time.sleep(chance.random() / 2000)  # so that the kill meets any instruction
        victim = chance.randrange(CHILDREN)
        os.kill(pids[victim], signal.SIGKILL)
        assert os.waitpid(pids[victim], 0)[1] == signal.SIGKILL
        owners.repair()
        words[0] = 1
        for i, pid in enumerate(pids):
            if i != victim:
                assert os.waitpid(pid, 0)[1] == 0
        owners.repair()
        drain(shared, own)
        assert free_count(shared) == BLOCKS
    assert lib.exo_ring_count(ffi.cast("struct exo_ring *", base + RING_AT)) == 0
    del words
    owners.close()
    shared.close()
