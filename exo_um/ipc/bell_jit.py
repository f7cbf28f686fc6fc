"""Who sleeps at a ring is woken: the bells of native/core/ringbell.c, for numba."""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    compare_exchange_u32,
    fetch_add_u32,
    full_fence,
    host_call,
    jit,
    load_plain_u32,
    load_relaxed_u32,
)
from exo_um.ipc.slot_jit import BELL_WANTED, BELL_WORD, FLAGS, NEVER_SLEEPS

SYS_FUTEX = 202
FUTEX_WAKE = 1
EVERYBODY = 0x7FFFFFFF


@jit
def ring_bell(bell: int) -> None:
    """Wake who sleeps at the bell at an address: for who has seen that it is wanted."""
    wish = load_relaxed_u32(bell + BELL_WANTED)
    fetch_add_u32(bell + BELL_WORD, 1)
    host_call(SYS_FUTEX, bell + BELL_WORD, FUTEX_WAKE, EVERYBODY, 0, 0, 0)
    compare_exchange_u32(bell + BELL_WANTED, wish, 0)


@jit
def wake(ring: int, bell: int) -> None:
    """Ring the bell at an offset in the ring, if anybody wants it: after publishing."""
    if load_plain_u32(ring + FLAGS) & NEVER_SLEEPS:
        return
    full_fence()
    if load_relaxed_u32(ring + bell + BELL_WANTED) != 0:
        ring_bell(ring + bell)
