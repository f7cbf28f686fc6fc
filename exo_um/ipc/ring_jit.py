"""Fusion rings for numba: the algorithm of native/core/ring.c, on the same memory.

Addresses are ints, messages bytes at addresses. Each function returns 0 or a count, or -errno:
EAGAIN no room or nothing there, EPIPE closed, EMSGSIZE.
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    compare_exchange_u64,
    copy,
    jit,
    load_acquire_u32,
    load_acquire_u64,
    load_plain_u32,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u8,
    store_relaxed_u16,
    store_relaxed_u64,
    store_release_u32,
    store_release_u64,
)
from exo_um.ipc.bell_jit import wake
from exo_um.ipc.block_jit import (
    BLOCK_BYTES,
    block_drop,
    block_receive,
    is_held,
    mark_sent,
    write_ref,
)
from exo_um.ipc.slot_jit import (
    BLOCK,
    CLAIMED,
    CLOSED,
    DATA,
    FREE,
    HEAD,
    KIND,
    LOST,
    MESSAGE_FLAGS,
    MESSAGE_LENGTH,
    MESSAGE_PAYLOAD,
    MESSAGE_SIZE,
    MESSAGE_TYPE,
    MPMC,
    OWNER_MASK,
    OWNERS,
    PAYLOAD,
    PAYLOAD_SIZE,
    READY,
    ROOM,
    SPSC,
    TAIL,
    TAKEN,
    advance,
    ahead_of,
    capacity_of,
    flags_of,
    is_dead,
    length_of,
    make_header,
    make_message,
    position_of,
    slot_at,
    state_of,
    taken_header,
    type_of,
)

_EAGAIN, _EPIPE, _EMSGSIZE = errno.EAGAIN, errno.EPIPE, errno.EMSGSIZE
_EBADF, _EBADMSG = errno.EBADF, errno.EBADMSG


@jit
def repair_slot(ring: int, slot: int, header: int) -> bool:
    """Undo the claim of a dead owner; False if there is none."""
    state = state_of(header)
    if (state != CLAIMED and state != TAKEN) or not is_dead(ring + OWNERS, header & OWNER_MASK):
        return False
    position = position_of(header)
    if state == TAKEN and (flags_of(header) & BLOCK) != 0:
        block_drop(ring, slot, position)
    if state == CLAIMED:
        new = make_header(position, READY, make_message(0, LOST, 0))
    else:
        new = make_header(position + capacity_of(ring), FREE, 0)
    if compare_exchange_u64(slot, header, new):
        wake(ring, DATA if state == CLAIMED else ROOM)
    return True


@jit
def _claim_alone(ring: int) -> tuple[int, int]:
    at = load_relaxed_u64(ring + HEAD)
    while True:
        slot = slot_at(ring, at)
        header = load_acquire_u64(slot)
        ahead = ahead_of(header, at)
        if ahead == 0 and state_of(header) == FREE:
            return slot, at
        if ahead < 0:
            return -_EAGAIN, at
        at += 1
        store_relaxed_u64(ring + HEAD, at)


@jit
def _claim_among(ring: int, owner: int) -> tuple[int, int]:
    head = ring + HEAD
    at = load_relaxed_u64(head)
    while True:
        slot = slot_at(ring, at)
        header = load_acquire_u64(slot)
        ahead = ahead_of(header, at)
        if ahead == 0:
            if state_of(header) != FREE:
                advance(head, at)
                at += 1
            elif compare_exchange_u64(slot, header, make_header(at, CLAIMED, owner)):
                advance(head, at)
                if load_relaxed_u32(ring + CLOSED) == 0:
                    return slot, at
                publish(ring, slot, at, 0, LOST, 0)  # closed before the claim
                return -_EPIPE, at
            continue
        now = load_relaxed_u64(head)
        if now > at:
            at = now
        elif ahead > 0:
            advance(head, at)
            at += 1
        elif not repair_slot(ring, slot, header):
            return -_EAGAIN, at


@jit
def claim(ring: int, owner: int) -> tuple[int, int]:
    """Return a slot to be filled and its position; -errno in the slot's place."""
    if load_relaxed_u32(ring + CLOSED) != 0:
        return -_EPIPE, 0
    if load_plain_u32(ring + KIND) == SPSC:
        return _claim_alone(ring)
    return _claim_among(ring, owner)


@jit
def publish(ring: int, slot: int, position: int, kind: int, flags: int, length: int) -> None:
    """Give a filled slot to the consumers."""
    store_release_u64(slot, make_header(position, READY, make_message(kind, flags, length)))
    if load_plain_u32(ring + KIND) == SPSC:
        store_relaxed_u64(ring + HEAD, position + 1)
    wake(ring, DATA)


@jit
def _nothing(closed: int, header: int) -> int:
    """Tell why nothing can be taken; closed: as it was before the look at the header."""
    return -_EPIPE if closed != 0 and state_of(header) == FREE else -_EAGAIN


@jit
def _take_alone(ring: int) -> tuple[int, int, int]:
    at = load_relaxed_u64(ring + TAIL)
    while True:
        slot = slot_at(ring, at)
        closed = load_acquire_u32(ring + CLOSED)
        header = load_acquire_u64(slot)
        ahead = ahead_of(header, at)
        if ahead == 0 and state_of(header) == READY:
            return slot, at, header
        if ahead > 0:
            at += 1
            store_relaxed_u64(ring + TAIL, at)
        elif not repair_slot(ring, slot, header):
            return _nothing(closed, header), at, header


@jit
def _take_among(ring: int, owner: int) -> tuple[int, int, int]:
    tail = ring + TAIL
    at = load_relaxed_u64(tail)
    while True:
        slot = slot_at(ring, at)
        closed = load_acquire_u32(ring + CLOSED)
        header = load_acquire_u64(slot)
        ahead = ahead_of(header, at)
        if ahead == 0 and state_of(header) == READY:
            if compare_exchange_u64(slot, header, taken_header(header, owner)):
                advance(tail, at)
                return slot, at, header
            continue
        if ahead == 0 and state_of(header) == TAKEN:
            advance(tail, at)
            at += 1
            continue
        now = load_relaxed_u64(tail)
        if now > at:
            at = now
        elif ahead > 0:
            advance(tail, at)
            at += 1
        elif not repair_slot(ring, slot, header):
            return _nothing(closed, header), at, header


@jit
def release(ring: int, slot: int, position: int) -> None:
    """Give an emptied slot back to the producers."""
    store_release_u64(slot, make_header(position + capacity_of(ring), FREE, 0))
    if load_plain_u32(ring + KIND) != MPMC:
        store_relaxed_u64(ring + TAIL, position + 1)
    wake(ring, ROOM)


@jit
def take(ring: int, owner: int) -> tuple[int, int, int]:
    """Return a slot to be read, its position and header; -errno in the slot's place."""
    while True:
        if load_plain_u32(ring + KIND) == MPMC:
            slot, position, header = _take_among(ring, owner)
        else:
            slot, position, header = _take_alone(ring)
        if slot < 0 or (flags_of(header) & LOST) == 0:
            return slot, position, header
        release(ring, slot, position)


@jit
def push(ring: int, owner: int, kind: int, data: int, length: int) -> int:
    """Put a message of at most 56 bytes into the ring."""
    if length > PAYLOAD_SIZE:
        return -_EMSGSIZE
    slot, position = claim(ring, owner)
    if slot < 0:
        return slot
    copy(slot + PAYLOAD, data, length)
    publish(ring, slot, position, kind, 0, length)
    return 0


@jit
def _read(slot: int, header: int, message: int) -> None:
    length = length_of(header)
    store_relaxed_u8(message + MESSAGE_TYPE, type_of(header))
    store_relaxed_u8(message + MESSAGE_FLAGS, flags_of(header))
    store_relaxed_u16(message + MESSAGE_LENGTH, length)
    copy(message + MESSAGE_PAYLOAD, slot + PAYLOAD, min(length, PAYLOAD_SIZE))


@jit
def pop(ring: int, owner: int, message: int) -> int:
    """Take a message out, into the struct exo_message at an address."""
    slot, position, header = take(ring, owner)
    if slot < 0:
        return slot
    _read(slot, header, message)
    release(ring, slot, position)
    return 0


@jit
def _push_alone(ring: int, message: int, data: int, length: int, count: int) -> int:
    slot, first = claim(ring, 0)
    if slot < 0:
        return slot
    done = 1
    while done < count:
        following = slot_at(ring, first + done)
        header = load_acquire_u64(following)
        if ahead_of(header, first + done) != 0 or state_of(header) != FREE:
            break
        copy(following + PAYLOAD, data + done * length, length)
        store_release_u64(following, make_header(first + done, READY, message))
        done += 1
    copy(slot + PAYLOAD, data, length)
    store_release_u64(slot, make_header(first, READY, message))
    store_relaxed_u64(ring + HEAD, first + done)
    wake(ring, DATA)
    return done


@jit
def push_many(ring: int, owner: int, kind: int, data: int, length: int, count: int) -> int:
    """Put up to count messages of one size, one behind the other at data, behind one fence."""
    if length > PAYLOAD_SIZE:
        return -_EMSGSIZE
    message = make_message(kind, 0, length)
    if count > 0 and load_plain_u32(ring + KIND) == SPSC:
        return _push_alone(ring, message, data, length, count)
    done = 0
    slot = 0
    while done < count:
        slot, position = claim(ring, owner)
        if slot < 0:
            break
        copy(slot + PAYLOAD, data + done * length, length)
        store_release_u64(slot, make_header(position, READY, message))
        done += 1
    if done > 0:
        wake(ring, DATA)
    return done if done > 0 or count <= 0 else slot


@jit
def pop_many(ring: int, owner: int, messages: int, count: int) -> int:
    """Take up to count messages out, into the structs at messages, behind one fence."""
    done = 0
    slot = 0
    capacity = capacity_of(ring)
    while done < count:
        slot, position, header = take(ring, owner)
        if slot < 0:
            break
        _read(slot, header, messages + done * MESSAGE_SIZE)
        store_release_u64(slot, make_header(position + capacity, FREE, 0))
        if load_plain_u32(ring + KIND) != MPMC:
            store_relaxed_u64(ring + TAIL, position + 1)
        done += 1
    if done > 0:
        wake(ring, ROOM)
    return done if done > 0 or count <= 0 else slot


@jit
def send_block(ring: int, owner: int, kind: int, pool: int, index: int, length: int) -> int:
    """Send a block that owner holds; whoever receives it holds it then."""
    if not is_held(pool, index, owner):
        return -_EBADF
    if length > load_relaxed_u64(pool + BLOCK_BYTES):
        return -_EMSGSIZE
    slot, position = claim(ring, owner)
    if slot < 0:
        return slot
    mark_sent(pool, index, owner, ring, position)
    publish(ring, slot, position, kind, BLOCK, write_ref(ring, slot, pool, index, length))
    return 0


@jit
def receive_block(ring: int, owner: int) -> tuple[int, int, int]:
    """Return pool, index and size of the next message's block; -errno in the index's place."""
    while True:
        slot, position, header = take(ring, owner)
        if slot < 0:
            return 0, slot, 0
        if flags_of(header) & BLOCK:
            pool, index, length = block_receive(ring, slot, position, owner)
        else:
            pool, index, length = 0, -_EBADMSG, 0
        release(ring, slot, position)
        if index != -_EBADF:
            return pool, index, length


@jit
def close(ring: int) -> None:
    """End pushes; what is in the ring can still be taken out."""
    store_release_u32(ring + CLOSED, 1)
    wake(ring, DATA)
    wake(ring, ROOM)


@jit
def count(ring: int) -> int:
    """Return how many messages are in the ring, about."""
    tail = load_acquire_u64(ring + TAIL)
    return max(load_acquire_u64(ring + HEAD) - tail, 0)
