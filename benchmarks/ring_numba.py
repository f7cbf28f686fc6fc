"""Cycles for a message one way between two processes on two CPUs, through numba.

`python -P benchmarks/ring_numba.py ping|batch|block|one|own [BYTES]`: as benchmarks/native/ring.c,
with both ends jitted.
"""

import os
import subprocess
import sys

import numpy as np

from exo_um.bindings import lib
from exo_um.bindings.atomic_jit import (
    jit,
    load_relaxed_u8,
    rdtscp,
    spin_pause,
    store_relaxed_u8,
)
from exo_um.bindings.shared import Shared
from exo_um.ipc.block_jit import block_at, block_create
from exo_um.ipc.ring_jit import count as ring_count
from exo_um.ipc.ring_jit import pop, pop_many, push, push_many, receive_block, send_block
from exo_um.ipc.ringset_jit import here, ring_at, set_push

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]
ROUNDS, WARM = 20000, 2000
BATCH, BATCHES = 16, 4000
ORDER = lib.EXO_RING_ORDER
RING_SPACE = -(-lib.exo_ring_size(ORDER) // 4096) * 4096
BLOCKS, BLOCK_SIZE = 4, 1 << 20
POOL_SPACE = lib.exo_pool_size(BLOCK_SIZE, BLOCKS)


@jit
def ping(first: bool, there: int, back: int, data: int, message: int, samples: Samples) -> int:
    """Send one message to and fro, again and again; half the cycles of each into samples."""
    for i in range(WARM + ROUNDS):
        began = rdtscp()
        if first:
            push(there, 0, 1, data, 56)
        while pop(back if first else there, 0, message) != 0:
            spin_pause()
        if not first:
            push(back, 0, 1, message + 8, 56)
        elif i >= WARM:
            samples[i - WARM] = (rdtscp() - began) / 2
    return ROUNDS


@jit
def batches(first: bool, there: int, data: int, messages: int, samples: Samples) -> int:
    """Send or receive sixteen messages at once; cycles per message."""
    for i in range(WARM + BATCHES):
        began = rdtscp()
        done = 0
        while done < BATCH:
            if first:
                got = push_many(there, 0, 1, data, 56, BATCH - done)
            else:
                got = pop_many(there, 0, messages, BATCH - done)
            if got < 0:
                spin_pause()
            done += max(got, 0)
        if i >= WARM:
            samples[i - WARM] = (rdtscp() - began) / BATCH
    return BATCHES


@jit
def touch(pool: int, index: int, size: int) -> None:
    """Change the first and the last byte of a block."""
    at = block_at(pool, index)
    store_relaxed_u8(at, load_relaxed_u8(at) + 1)
    store_relaxed_u8(at + size - 1, load_relaxed_u8(at + size - 1) + 1)


@jit
def blocks(first: bool, there: int, back: int, pool: int, size: int, samples: Samples) -> int:
    """Send a block to and fro by reference."""
    owner = 1 if first else 2
    index = block_create(pool, owner) if first else 0
    for i in range(WARM + ROUNDS):
        began = rdtscp()
        if first:
            touch(pool, index, size)
            send_block(there, owner, 1, pool, index, size)
        _, index, _ = receive_block(back if first else there, owner)
        while index < 0:
            spin_pause()
            _, index, _ = receive_block(back if first else there, owner)
        if not first:
            touch(pool, index, size)
            send_block(back, owner, 1, pool, index, size)
        elif i >= WARM:
            samples[i - WARM] = (rdtscp() - began) / 2
    return ROUNDS


@jit
def at_once(
    own: bool, there: int, back: int, rings: int, data: int, message: int, samples: Samples
) -> int:
    """Push a message and take one out, as the other does, through one ring or each CPU's."""
    push(back, 0, 1, data, 1)
    while ring_count(back) < 2:  # both are there
        spin_pause()
    for i in range(WARM + ROUNDS):
        began = rdtscp()
        for _ in range(BATCH):
            while (set_push(rings, 0, 1, data, 56) if own else push(there, 0, 1, data, 56)) != 0:
                spin_pause()
            ring = ring_at(rings, here(rings)) if own else there
            while pop(ring, 0, message) != 0:
                spin_pause()
        if i >= WARM:
            samples[i - WARM] = (rdtscp() - began) / BATCH
    return ROUNDS


def run(what: str, size: int, shared: Shared, *, first: bool) -> Samples:
    """Play one side; the samples."""
    there, back = shared.address, shared.address + RING_SPACE
    pool = shared.address + 2 * RING_SPACE
    data, messages = np.zeros(BATCH * 56, np.uint8), np.zeros(BATCH * 64, np.uint8)
    samples = np.zeros(ROUNDS)
    os.sched_setaffinity(0, {0 if first else 1})
    if what == "ping":
        count = ping(first, there, back, data.ctypes.data, messages.ctypes.data, samples)
    elif what == "batch":
        count = batches(first, there, data.ctypes.data, messages.ctypes.data, samples)
    elif what in ("one", "own"):
        rings = pool + POOL_SPACE
        at = data.ctypes.data
        count = at_once(what == "own", there, back, rings, at, messages.ctypes.data, samples)
    else:
        count = blocks(first, there, back, pool, size, samples)
    return samples[:count]


def main() -> int:
    """Make the rings, start the other side, print the samples."""
    what = sys.argv[1] if len(sys.argv) > 1 else "ping"
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 4096
    if len(sys.argv) > 3:
        run(what, size, Shared(int(sys.argv[3])), first=False)
        return 0
    sets_at = 2 * RING_SPACE + POOL_SPACE
    shared = Shared.create(sets_at + lib.exo_ringset_size(2, ORDER))
    rings = shared.pointer("struct exo_ringset *", sets_at)
    lib.exo_ringset_init(rings, 2, ORDER, lib.EXO_RING_MPMC, 0)
    for at in (0, RING_SPACE):
        lib.exo_ring_init(shared.pointer("struct exo_ring *", at), ORDER, lib.EXO_RING_MPMC, 0)
    pool = shared.pointer("struct exo_pool *", 2 * RING_SPACE)
    lib.exo_pool_init(pool, BLOCK_SIZE, BLOCKS)
    command = [sys.executable, "-P", __file__, what, str(size), str(shared.fd)]
    with subprocess.Popen(command, pass_fds=[shared.fd]) as other:
        samples = run(what, size, shared, first=True)
    assert pool.copied == 0
    print("\n".join(f"{sample:.1f}" for sample in samples))
    return other.returncode


if __name__ == "__main__":
    sys.exit(main())
