"""Places in a ring, for numba: claimed and published, taken and given back, as native/core/ring.c.

Each function returns a count or 0, or -errno: EAGAIN no room or nothing there, EPIPE closed.
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    compare_exchange_u64,
    jit,
    load_acquire_u32,
    load_acquire_u64,
    load_plain_u32,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u64,
    store_release_u64,
)
from exo_um.ipc.bell_jit import wake
from exo_um.ipc.repair_jit import repair_claim
from exo_um.ipc.slot_jit import (
    BATCH_MAX,
    CLAIMED,
    CLOSED,
    DATA,
    FREE,
    HEAD,
    KIND,
    LOST,
    MPMC,
    READY,
    SPSC,
    TAIL,
    TAKEN,
    advance,
    ahead_of,
    capacity_of,
    claim_header,
    flags_of,
    make_header,
    make_message,
    slot_at,
    span_of,
    state_of,
)

_EAGAIN, _EPIPE = errno.EAGAIN, errno.EPIPE


@jit
def _seek(ring: int, place: int, wanted: int, alone: bool) -> tuple[bool, int, int]:
    """Find the first slot from place on that is FREE, READY: found, its position and header."""
    at = load_relaxed_u64(place)
    while True:
        header = load_acquire_u64(slot_at(ring, at))
        ahead = ahead_of(header, at)
        if ahead == 0 and state_of(header) == wanted:
            return True, at, header
        newer = at if alone else load_relaxed_u64(place)
        if newer > at:
            at = newer
        elif ahead > 0 or (ahead == 0 and state_of(header) > wanted):
            count = 1 if ahead > 0 else span_of(header)
            if alone:
                store_relaxed_u64(place, at + count)
            else:
                advance(place, at, count)
            at += count
        elif not repair_claim(ring, header):
            return False, at, header


@jit
def _count_run(ring: int, position: int, state: int, want: int) -> int:
    """Return how many slots from position on, of which the first is, are in a state."""
    count = 1
    while count < want:
        header = load_acquire_u64(slot_at(ring, position + count))
        if ahead_of(header, position + count) != 0 or state_of(header) != state:
            break
        count += 1
    return count


@jit
def publish_many(ring: int, position: int, count: int, message: int) -> None:
    """Give filled slots to the consumers, the first one last, and wake nobody yet."""
    for i in range(count - 1, -1, -1):
        store_release_u64(slot_at(ring, position + i), make_header(position + i, READY, message))
    if load_plain_u32(ring + KIND) == SPSC:
        store_relaxed_u64(ring + HEAD, position + count)


@jit
def claim_many(ring: int, owner: int, want: int) -> tuple[int, int]:
    """Return how many slots were claimed, want at most, or -errno; and the first position."""
    alone = load_plain_u32(ring + KIND) == SPSC
    if load_relaxed_u32(ring + CLOSED) != 0:
        return -_EPIPE, 0
    want = min(want, BATCH_MAX, capacity_of(ring))
    while True:
        found, at, header = _seek(ring, ring + HEAD, FREE, alone)
        if not found:
            return -_EAGAIN, at
        count = _count_run(ring, at, FREE, want)
        if alone:
            return count, at
        if compare_exchange_u64(
            slot_at(ring, at), header, claim_header(at, CLAIMED, 0, owner, count)
        ):
            break
    advance(ring + HEAD, at, count)
    if load_relaxed_u32(ring + CLOSED) == 0:
        return count, at
    publish_many(ring, at, count, make_message(0, LOST, 0))  # closed before the claim
    wake(ring, DATA)
    return -_EPIPE, at


@jit
def take_many(ring: int, owner: int, want: int) -> tuple[int, int, int]:
    """Return how many slots were taken, or -errno; the first position, and its header till then."""
    alone = load_plain_u32(ring + KIND) != MPMC
    want = min(want, BATCH_MAX, capacity_of(ring))
    while True:
        # Before the look at the slot: nothing is there, and nothing can come any more.
        closed = load_acquire_u32(ring + CLOSED)
        found, at, header = _seek(ring, ring + TAIL, READY, alone)
        if not found:
            over = closed != 0 and state_of(header) == FREE
            return (-_EPIPE if over else -_EAGAIN), at, header
        count = _count_run(ring, at, READY, want)
        if alone:
            return count, at, header
        taken = claim_header(at, TAKEN, flags_of(header), owner, count)
        if compare_exchange_u64(slot_at(ring, at), header, taken):
            advance(ring + TAIL, at, count)
            return count, at, header


@jit
def empty_many(ring: int, position: int, count: int) -> None:
    """Give slots back to the producers, the first one last, and wake nobody yet."""
    capacity = capacity_of(ring)
    for i in range(count - 1, -1, -1):
        store_release_u64(
            slot_at(ring, position + i), make_header(position + i + capacity, FREE, 0)
        )
    if load_plain_u32(ring + KIND) != MPMC:
        store_relaxed_u64(ring + TAIL, position + count)
