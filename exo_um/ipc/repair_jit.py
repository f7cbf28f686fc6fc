"""What dead owners have left in a ring, for numba: native/core/ringrepair.c."""

from __future__ import annotations

from exo_um.bindings.atomic_jit import compare_exchange_u64, jit, load_acquire_u64
from exo_um.ipc.bell_jit import wake
from exo_um.ipc.block_jit import block_drop
from exo_um.ipc.slot_jit import (
    BLOCK,
    DATA,
    FREE,
    LOST,
    OWNER_MASK,
    OWNERS,
    READY,
    ROOM,
    TAKEN,
    ahead_of,
    capacity_of,
    flags_of,
    is_claim,
    is_dead,
    make_header,
    make_message,
    position_of,
    slot_at,
    span_of,
    state_of,
)


@jit
def _undo_slot(ring: int, position: int, header: int, taken: bool) -> bool:
    slot = slot_at(ring, position)
    if taken and (flags_of(header) & BLOCK) != 0:
        block_drop(ring, slot, position)
    if taken:
        new = make_header(position + capacity_of(ring), FREE, 0)
    else:
        new = make_header(position, READY, make_message(0, LOST, 0))
    return compare_exchange_u64(slot, header, new)


@jit
def repair_claim(ring: int, header: int) -> bool:
    """Undo the claim that a header is, if its owner is dead; False if it is none."""
    if not is_claim(header) or not is_dead(ring + OWNERS, header & OWNER_MASK):
        return False
    position = position_of(header)
    taken = state_of(header) == TAKEN
    left = READY if taken else FREE
    for i in range(span_of(header) - 1, 0, -1):
        now = load_acquire_u64(slot_at(ring, position + i))
        if ahead_of(now, position + i) == 0 and state_of(now) == left:
            _undo_slot(ring, position + i, now, taken)
    if _undo_slot(ring, position, header, taken):
        wake(ring, ROOM if taken else DATA)
    return True
