"""A ring's slots as numbers: the layout of native/include/exo/ring.h and a header taken apart.

Addresses are ints. A header word: position (32), state (2), flags (6), type (8), size (16).
"""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    compare_exchange_u64,
    jit,
    load_acquire_u32,
    load_plain_u32,
    load_plain_u64,
    load_relaxed_u64,
)
from exo_um.bindings.layout import constant, offset, size

RING_SIZE = size("exo_ring")
SLOT_SIZE = constant("EXO_RING_SLOT_SIZE")
PAYLOAD_SIZE = constant("EXO_RING_PAYLOAD")
PAYLOAD = offset("exo_ring_slot", "payload")
MAGIC = offset("exo_ring", "magic")
ORDER = offset("exo_ring", "order")
KIND = offset("exo_ring", "kind")
FLAGS = offset("exo_ring", "flags")
OWNERS = offset("exo_ring", "owners")
HEAD = offset("exo_ring", "head")
TAIL = offset("exo_ring", "tail")
DATA = offset("exo_ring", "data")
ROOM = offset("exo_ring", "room")
CLOSED = offset("exo_ring", "closed")
BELL_WORD = offset("exo_ring_bell", "word")
BELL_WANTED = offset("exo_ring_bell", "wanted")
OWNERS_AWAY = offset("exo_owners", "away")
OWNERS_STRIDE = offset("exo_owners", "stride")
OWNERS_COUNT = offset("exo_owners", "count")
MESSAGE_SIZE = size("exo_message")
MESSAGE_TYPE = offset("exo_message", "type")
MESSAGE_FLAGS = offset("exo_message", "flags")
MESSAGE_LENGTH = offset("exo_message", "size")
MESSAGE_PAYLOAD = offset("exo_message", "payload")

BATCH_MAX = constant("EXO_RING_BATCH_MAX")
SPSC, MPSC, MPMC = constant("EXO_RING_SPSC"), constant("EXO_RING_MPSC"), constant("EXO_RING_MPMC")
FREE, CLAIMED, READY, TAKEN = (
    constant("EXO_RING_FREE"),
    constant("EXO_RING_CLAIMED"),
    constant("EXO_RING_READY"),
    constant("EXO_RING_TAKEN"),
)
NEVER_SLEEPS = constant("EXO_RING_NEVER_SLEEPS")
BLOCK, LOST = constant("EXO_RING_BLOCK"), constant("EXO_RING_LOST")
_POSITION_SHIFT = constant("EXO_RING_POSITION_SHIFT")
_STATE_SHIFT = constant("EXO_RING_STATE_SHIFT")
_FLAGS_SHIFT = constant("EXO_RING_FLAGS_SHIFT")
_TYPE_SHIFT = constant("EXO_RING_TYPE_SHIFT")
_LOW = 0xFFFFFFFF
_SIGN = 0x80000000
_OWNER_DIED = 0x40000000
OWNER_MASK = 0xFFFF


@jit
def capacity_of(ring: int) -> int:
    """Return the number of slots."""
    return 1 << load_plain_u32(ring + ORDER)


@jit
def slot_at(ring: int, position: int) -> int:
    """Return the address of the slot for a position."""
    return ring + RING_SIZE + (position & (capacity_of(ring) - 1)) * SLOT_SIZE


@jit
def make_header(position: int, state: int, rest: int) -> int:
    """Return a header word."""
    return ((position & _LOW) << _POSITION_SHIFT) | (state << _STATE_SHIFT) | rest


@jit
def make_message(kind: int, flags: int, length: int) -> int:
    """Return the part of a header word that tells of a message."""
    return (flags << _FLAGS_SHIFT) | (kind << _TYPE_SHIFT) | length


@jit
def state_of(header: int) -> int:
    """Return FREE, CLAIMED, READY or TAKEN."""
    return (header >> _STATE_SHIFT) & 3


@jit
def flags_of(header: int) -> int:
    """Return the message's flags."""
    return (header >> _FLAGS_SHIFT) & 0x3F


@jit
def type_of(header: int) -> int:
    """Return the message's type."""
    return (header >> _TYPE_SHIFT) & 0xFF


@jit
def length_of(header: int) -> int:
    """Return the message's size in bytes."""
    return header & OWNER_MASK


@jit
def position_of(header: int) -> int:
    """Return the low 32 bits of the position a slot is for."""
    return (header >> _POSITION_SHIFT) & _LOW


@jit
def ahead_of(header: int, position: int) -> int:
    """Return how far a slot is ahead of a position, from their low 32 bits."""
    return ((((header >> _POSITION_SHIFT) - position) & _LOW) ^ _SIGN) - _SIGN


@jit
def claim_header(position: int, state: int, flags: int, owner: int, count: int) -> int:
    """Return the header of a claim of count slots; flags: of the first message being taken."""
    return make_header(position, state, make_message(count - 1, flags, owner & OWNER_MASK))


@jit
def is_claim(header: int) -> bool:
    """Whether a producer or consumer is at work there."""
    return state_of(header) in (CLAIMED, TAKEN)


@jit
def span_of(header: int) -> int:
    """Return how many slots a header speaks for."""
    return type_of(header) + 1 if is_claim(header) else 1


@jit
def advance(place: int, position: int, count: int) -> None:
    """Move head or tail on from position, unless somebody has."""
    if load_relaxed_u64(place) == position:
        compare_exchange_u64(place, position, position + count)


@jit
def word_of(owners: int, owner: int) -> int:
    """Return the address of an owner's alive word, 0 if it has none."""
    if owner == 0 or owner >= load_plain_u64(owners + OWNERS_COUNT):
        return 0
    first = owners + load_plain_u64(owners + OWNERS_AWAY)
    return first + owner * load_plain_u64(owners + OWNERS_STRIDE)


@jit
def is_dead(owners: int, owner: int) -> bool:
    """Whether an owner that can be found dead is."""
    word = word_of(owners, owner)
    if word == 0:
        return False
    now = load_acquire_u32(word)
    return now == 0 or (now & _OWNER_DIED) != 0
