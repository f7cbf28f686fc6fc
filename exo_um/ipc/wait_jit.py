"""Pushes and pops that wait, for numba: it spins, the C core yields and sleeps.

sleeper is the address of the C function that goes on, policy that of a struct exo_wait_policy; both
are this process's own (exo_um.ipc.ring.Ring.sleepers, WaitPolicy.address).
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import call_native, jit, load_relaxed_u32, spin_pause
from exo_um.bindings.layout import offset
from exo_um.ipc.ring_jit import pop, push

_EAGAIN = errno.EAGAIN
_SPINS = offset("exo_wait_policy", "spins")


@jit
def pop_wait(ring: int, owner: int, message: int, policy: int, sleeper: int) -> int:
    """Take a message out, waiting for one; 0 or -errno: EPIPE, ETIMEDOUT, EINTR."""
    for _ in range(load_relaxed_u32(policy + _SPINS) + 1):
        error = pop(ring, owner, message)
        if error != -_EAGAIN:
            return error
        spin_pause()
    return call_native(sleeper, ring, owner, message, policy)


@jit
def push_wait(
    ring: int, owner: int, kind: int, data: int, length: int, policy: int, wait_for_room: int
) -> int:
    """Put a message in, waiting for room; 0 or -errno: EPIPE, EMSGSIZE, ETIMEDOUT, EINTR."""
    while True:
        for _ in range(load_relaxed_u32(policy + _SPINS) + 1):
            error = push(ring, owner, kind, data, length)
            if error != -_EAGAIN:
                return error
            spin_pause()
        error = call_native(wait_for_room, ring, policy, 0, 0)
        if error != 0:
            return error
