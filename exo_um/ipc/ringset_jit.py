"""Sets of rings, one for each CPU, for numba: native/core/ringset.c, on the same memory."""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    here_rdpid,
    here_rdtscp,
    jit,
    load_plain_u32,
    load_plain_u64,
    load_relaxed_u32,
    store_relaxed_u32,
)
from exo_um.bindings.layout import constant, offset, size
from exo_um.ipc.bell_jit import ring_bell, wake
from exo_um.ipc.ring_jit import pop_many, push_many_quiet
from exo_um.ipc.slot_jit import BELL_WANTED, DATA, FLAGS, MESSAGE_SIZE, NEVER_SLEEPS

_EAGAIN, _EPIPE = errno.EAGAIN, errno.EPIPE
SET_SIZE = size("exo_ringset")
COUNT = offset("exo_ringset", "count")
SET_FLAGS = offset("exo_ringset", "flags")
STRIDE = offset("exo_ringset", "stride")
SET_DATA = offset("exo_ringset", "data")
NEXT = offset("exo_ringset", "next")
RDPID = constant("EXO_RINGSET_RDPID")
_CPU_MASK = 0xFFF


@jit
def ring_at(rings: int, index: int) -> int:
    """Return the address of a ring of the set at rings."""
    return rings + SET_SIZE + index * load_plain_u64(rings + STRIDE)


@jit
def here(rings: int) -> int:
    """Return the index of this CPU's ring: where to push, and by the time it may be another's."""
    known = load_plain_u32(rings + SET_FLAGS) & RDPID
    cpu = (here_rdpid() if known else here_rdtscp()) & _CPU_MASK
    count = load_plain_u32(rings + COUNT)
    return cpu if cpu < count else cpu % count


@jit
def _wake(rings: int, ring: int) -> None:
    wake(ring, DATA)
    if (
        load_plain_u32(ring + FLAGS) & NEVER_SLEEPS == 0
        and load_relaxed_u32(rings + SET_DATA + BELL_WANTED) != 0
    ):
        ring_bell(rings + SET_DATA)


@jit
def set_push_many(rings: int, owner: int, kind: int, data: int, length: int, count: int) -> int:
    """Put up to count messages into this CPU's ring, behind one fence; how many, or -errno."""
    ring = ring_at(rings, here(rings))
    done = push_many_quiet(ring, owner, kind, data, length, count)
    if done > 0:
        _wake(rings, ring)
    return done


@jit
def set_push(rings: int, owner: int, kind: int, data: int, length: int) -> int:
    """Put a message of at most 56 bytes into this CPU's ring; 0 or -errno."""
    done = set_push_many(rings, owner, kind, data, length, 1)
    return min(done, 0)


@jit
def set_pop_many(rings: int, owner: int, messages: int, count: int) -> int:
    """Take up to count messages out of all rings, each in its turn; how many, or -errno."""
    total = load_plain_u32(rings + COUNT)
    first = load_relaxed_u32(rings + NEXT) % total
    closed = 0
    done = 0
    for i in range(total):
        if done >= count:
            break
        index = first + i if first + i < total else first + i - total
        now = pop_many(ring_at(rings, index), owner, messages + done * MESSAGE_SIZE, count - done)
        if now == -_EPIPE:
            closed += 1
        if now > 0:
            done += now
            if total > 1:
                store_relaxed_u32(rings + NEXT, index + 1)
    if done > 0 or count <= 0:
        return done
    return -_EPIPE if closed == total else -_EAGAIN


@jit
def set_pop(rings: int, owner: int, message: int) -> int:
    """Take a message out of any ring, into the struct exo_message at an address; 0 or -errno."""
    done = set_pop_many(rings, owner, message, 1)
    return min(done, 0)
