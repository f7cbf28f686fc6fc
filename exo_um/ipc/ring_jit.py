"""Fusion rings for numba: the algorithm of native/core/ring.c, on the same memory.

Addresses are ints, messages bytes at addresses. Each function returns 0 or a count, or -errno:
EAGAIN no room or nothing there, EPIPE closed, EMSGSIZE.
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    copy,
    jit,
    load_acquire_u64,
    load_relaxed_u64,
    store_relaxed_u8,
    store_relaxed_u16,
    store_release_u32,
)
from exo_um.ipc.bell_jit import wake
from exo_um.ipc.block_jit import (
    BLOCK_BYTES,
    block_receive,
    is_held,
    mark_sent,
    write_ref,
)
from exo_um.ipc.place_jit import claim_many, empty_many, publish_many, take_many
from exo_um.ipc.slot_jit import (
    BLOCK,
    CLOSED,
    DATA,
    HEAD,
    LOST,
    MESSAGE_FLAGS,
    MESSAGE_LENGTH,
    MESSAGE_PAYLOAD,
    MESSAGE_SIZE,
    MESSAGE_TYPE,
    PAYLOAD,
    PAYLOAD_SIZE,
    ROOM,
    TAIL,
    flags_of,
    length_of,
    make_message,
    slot_at,
    type_of,
)

_EAGAIN, _EMSGSIZE = errno.EAGAIN, errno.EMSGSIZE
_EBADF, _EBADMSG = errno.EBADF, errno.EBADMSG


@jit
def claim(ring: int, owner: int) -> tuple[int, int]:
    """Return a slot to be filled and its position; -errno in the slot's place."""
    count, position = claim_many(ring, owner, 1)
    return (slot_at(ring, position) if count > 0 else count), position


@jit
def publish(ring: int, position: int, kind: int, flags: int, length: int) -> None:
    """Give a filled slot to the consumers."""
    publish_many(ring, position, 1, make_message(kind, flags, length))
    wake(ring, DATA)


@jit
def release(ring: int, position: int) -> None:
    """Give an emptied slot back to the producers."""
    empty_many(ring, position, 1)
    wake(ring, ROOM)


@jit
def take(ring: int, owner: int) -> tuple[int, int, int]:
    """Return a slot to be read, its position and header; -errno in the slot's place."""
    while True:
        count, position, header = take_many(ring, owner, 1)
        if count < 0:
            return count, position, header
        if (flags_of(header) & LOST) == 0:
            return slot_at(ring, position), position, header
        release(ring, position)


@jit
def _fill(slot: int, data: int, length: int) -> None:
    if length == PAYLOAD_SIZE:
        copy(slot + PAYLOAD, data, PAYLOAD_SIZE)  # of a size that the compiler knows
    else:
        copy(slot + PAYLOAD, data, length)


@jit
def push(ring: int, owner: int, kind: int, data: int, length: int) -> int:
    """Put a message of at most 56 bytes into the ring."""
    if length > PAYLOAD_SIZE:
        return -_EMSGSIZE
    slot, position = claim(ring, owner)
    if slot < 0:
        return slot
    _fill(slot, data, length)
    publish(ring, position, kind, 0, length)
    return 0


@jit
def _read(slot: int, header: int, message: int) -> None:
    length = length_of(header)
    store_relaxed_u8(message + MESSAGE_TYPE, type_of(header))
    store_relaxed_u8(message + MESSAGE_FLAGS, flags_of(header))
    store_relaxed_u16(message + MESSAGE_LENGTH, length)
    if length >= PAYLOAD_SIZE:
        copy(message + MESSAGE_PAYLOAD, slot + PAYLOAD, PAYLOAD_SIZE)
    else:
        copy(message + MESSAGE_PAYLOAD, slot + PAYLOAD, length)


@jit
def pop(ring: int, owner: int, message: int) -> int:
    """Take a message out, into the struct exo_message at an address."""
    slot, position, header = take(ring, owner)
    if slot < 0:
        return slot
    _read(slot, header, message)
    release(ring, position)
    return 0


@jit
def push_many_quiet(ring: int, owner: int, kind: int, data: int, length: int, count: int) -> int:
    """Do as push_many(), and wake nobody yet."""
    if length > PAYLOAD_SIZE:
        return -_EMSGSIZE
    message = make_message(kind, 0, length)
    done = 0
    now = 0
    while done < count:
        now, position = claim_many(ring, owner, count - done)
        if now < 0:
            break
        for i in range(now):
            _fill(slot_at(ring, position + i), data + (done + i) * length, length)
        publish_many(ring, position, now, message)
        done += now
    return done if done > 0 or count <= 0 else now


@jit
def push_many(ring: int, owner: int, kind: int, data: int, length: int, count: int) -> int:
    """Put up to count messages of one size, one behind the other at data, behind one fence."""
    done = push_many_quiet(ring, owner, kind, data, length, count)
    if done > 0:
        wake(ring, DATA)
    return done


@jit
def _pop_once(ring: int, owner: int, messages: int, want: int) -> int:
    """Return how many were not lost, or -errno."""
    count, position, header = take_many(ring, owner, want)
    done = 0
    for i in range(count):
        slot = slot_at(ring, position + i)
        if i > 0:
            header = load_relaxed_u64(slot)
        if (flags_of(header) & LOST) == 0:
            _read(slot, header, messages + done * MESSAGE_SIZE)
            done += 1
    if count > 0:
        empty_many(ring, position, count)
    return done if count >= 0 else count


@jit
def pop_many(ring: int, owner: int, messages: int, count: int) -> int:
    """Take up to count messages out, into the structs at messages, behind one fence."""
    done = 0
    now = 0
    while done < count and now >= 0:
        now = _pop_once(ring, owner, messages + done * MESSAGE_SIZE, count - done)
        done += max(now, 0)
    if done > 0:
        wake(ring, ROOM)
    return done if done > 0 or count <= 0 else now


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
    publish(ring, position, kind, BLOCK, write_ref(ring, slot, pool, index, length))
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
        release(ring, position)
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
