"""Blocks for large messages, for numba: native/core/pool.c and blockmsg.c on the same memory.

A block is named by its index in a pool. Errors as there: EAGAIN, EBADF, EBADMSG, EMSGSIZE.
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    compare_exchange_u16,
    compare_exchange_u64,
    copy,
    fetch_add_u64,
    jit,
    load_acquire_u16,
    load_acquire_u32,
    load_acquire_u64,
    load_relaxed_u16,
    load_relaxed_u64,
    store_relaxed_u32,
    store_relaxed_u64,
    store_release_u64,
)
from exo_um.bindings.layout import constant, offset, size
from exo_um.ipc.slot_jit import PAYLOAD, ahead_of

_EAGAIN, _EBADF, _EMSGSIZE = errno.EAGAIN, errno.EBADF, errno.EMSGSIZE
POOL_SIZE, BLOCK_SIZE = size("exo_pool"), size("exo_block")
BLOCK_BYTES = offset("exo_pool", "block_size")
COUNT = offset("exo_pool", "count")
BLOCKS_AT = offset("exo_pool", "blocks_at")
NEXT = offset("exo_pool", "next")
COPIED = offset("exo_pool", "copied")
MAGIC = offset("exo_pool", "magic")
POOL_MAGIC = constant("EXO_POOL_MAGIC")
SHARERS = offset("exo_block", "sharers")
SHARER_COUNT = constant("EXO_POOL_SHARERS")
RING_AWAY = offset("exo_block", "ring_away")
REF_POOL = PAYLOAD + offset("exo_block_ref", "pool_away")
REF_SIZE = PAYLOAD + offset("exo_block_ref", "size")
REF_INDEX = PAYLOAD + offset("exo_block_ref", "index")
REF_BYTES = constant("EXO_BLOCK_REF_SIZE")
FREE, HELD, SENT = (
    constant("EXO_BLOCK_FREE"),
    constant("EXO_BLOCK_HELD"),
    constant("EXO_BLOCK_SENT"),
)
_LOW = 0xFFFFFFFF


@jit
def entry_at(pool: int, index: int) -> int:
    """Return the address of a block's entry."""
    return pool + POOL_SIZE + index * BLOCK_SIZE


@jit
def block_at(pool: int, index: int) -> int:
    """Return the address of a block's bytes."""
    return pool + load_relaxed_u64(pool + BLOCKS_AT) + index * load_relaxed_u64(pool + BLOCK_BYTES)


@jit
def _word(state: int, owner: int, position: int) -> int:
    return ((position & _LOW) << 32) | (state << 16) | owner


@jit
def _state(word: int) -> int:
    return (word >> 16) & 0xFFFF


@jit
def block_create(pool: int, owner: int) -> int:
    """Return the index of a block that owner holds from now on; -EAGAIN."""
    count = load_relaxed_u64(pool + COUNT)
    start = load_relaxed_u64(pool + NEXT)
    for i in range(count):
        index = start + i
        if index >= count:
            index -= count
        entry = entry_at(pool, index)
        word = load_relaxed_u64(entry)
        if _state(word) == FREE and compare_exchange_u64(entry, word, _word(HELD, owner, 0)):
            store_relaxed_u64(pool + NEXT, index + 1 if index + 1 < count else 0)
            return index
    return -_EAGAIN


@jit
def _leave(entry: int, word: int) -> None:
    for i in range(SHARER_COUNT):
        sharer = entry + SHARERS + 2 * i
        heir = load_acquire_u16(sharer)
        if heir == 0:
            continue
        following = _word(HELD, heir, 0)
        if not compare_exchange_u64(entry, word, following) or compare_exchange_u16(
            sharer, heir, 0
        ):
            return
        word = following
    compare_exchange_u64(entry, word, _word(FREE, 0, 0))


@jit
def block_free(pool: int, index: int, owner: int) -> None:
    """End owner's hold of a block."""
    entry = entry_at(pool, index)
    for i in range(SHARER_COUNT):
        sharer = entry + SHARERS + 2 * i
        if (
            owner != 0
            and load_relaxed_u16(sharer) == owner
            and compare_exchange_u16(sharer, owner, 0)
        ):
            return
    word = load_acquire_u64(entry)
    if _state(word) == HELD and (word & 0xFFFF) == owner:
        _leave(entry, word)


@jit
def block_write(pool: int, index: int, data: int, length: int) -> int:
    """Copy bytes at an address into a block, which counts them; 0 or -EMSGSIZE."""
    if length > load_relaxed_u64(pool + BLOCK_BYTES):
        return -_EMSGSIZE
    copy(block_at(pool, index), data, length)
    fetch_add_u64(pool + COPIED, length)
    return 0


@jit
def block_read(pool: int, index: int, data: int, length: int) -> int:
    """Copy a block's first bytes to an address, and count them; 0 or -EMSGSIZE."""
    if length > load_relaxed_u64(pool + BLOCK_BYTES):
        return -_EMSGSIZE
    copy(data, block_at(pool, index), length)
    fetch_add_u64(pool + COPIED, length)
    return 0


@jit
def is_held(pool: int, index: int, owner: int) -> bool:
    """Whether owner holds a block, and may send it."""
    return 0 <= index < load_relaxed_u64(pool + COUNT) and load_relaxed_u64(
        entry_at(pool, index)
    ) == _word(HELD, owner, 0)


@jit
def mark_sent(pool: int, index: int, owner: int, ring: int, position: int) -> None:
    """Mark a block that owner holds as on its way."""
    entry = entry_at(pool, index)
    store_relaxed_u64(entry + RING_AWAY, ring - pool)
    store_release_u64(entry, _word(SENT, owner, position))


@jit
def write_ref(ring: int, slot: int, pool: int, index: int, length: int) -> int:
    """Write the payload that names a block; its size."""
    store_relaxed_u64(slot + REF_POOL, pool - ring)
    store_relaxed_u64(slot + REF_SIZE, length)
    store_relaxed_u32(slot + REF_INDEX, index)
    return REF_BYTES


@jit
def read_ref(ring: int, slot: int, position: int) -> tuple[int, int, int]:
    """Return the pool, index and size that a payload names; pool 0 if they make no sense."""
    pool = ring + load_acquire_u64(slot + REF_POOL)
    length = load_acquire_u64(slot + REF_SIZE)
    index = load_acquire_u32(slot + REF_INDEX)
    if ahead_of(load_acquire_u64(slot), position) != 0:
        return 0, index, length  # another's payload by now
    good = (
        load_relaxed_u64(pool + MAGIC) == POOL_MAGIC
        and index < load_relaxed_u64(pool + COUNT)
        and length <= load_relaxed_u64(pool + BLOCK_BYTES)
    )
    return (pool if good else 0), index, length


@jit
def _sent_word(ring: int, pool: int, entry: int, position: int) -> int:
    word = load_acquire_u64(entry)
    here = (
        _state(word) == SENT
        and (word >> 32) & _LOW == position & _LOW
        and load_relaxed_u64(entry + RING_AWAY) == ring - pool
    )
    return word if here else 0


@jit
def block_receive(ring: int, slot: int, position: int, owner: int) -> tuple[int, int, int]:
    """Return pool, index and size of the block in a taken slot, which owner holds from now on.

    -EBADF in the index's place: it was another receiver's, who has died over it.
    """
    pool, index, length = read_ref(ring, slot, position)
    if pool == 0:
        return pool, -_EBADF, length
    entry = entry_at(pool, index)
    word = _sent_word(ring, pool, entry, position)
    if word == 0 or not compare_exchange_u64(entry, word, _word(HELD, owner, 0)):
        return pool, -_EBADF, length
    return pool, index, length


@jit
def block_drop(ring: int, slot: int, position: int) -> None:
    """Free the block of a message that nobody will get."""
    pool, index, _ = read_ref(ring, slot, position)
    if pool == 0:
        return
    entry = entry_at(pool, index)
    word = _sent_word(ring, pool, entry, position)
    if word != 0:
        _leave(entry, word)
