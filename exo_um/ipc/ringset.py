"""Sets of rings, one for each CPU, as Python objects. Nothing here imports numba."""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.shared import Shared
from exo_um.ipc.ring import Kind, Message, Ring, WaitPolicy, message_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RingSet:
    """A set at an offset in shared memory, on a multiple of 64 bytes.

    A push goes to the ring of the CPU that the caller runs on, a pop takes from all, each in its
    turn. Messages are in order within a ring.
    """

    __slots__ = ("_message", "_set", "offset", "shared")

    def __init__(self, shared: Shared, offset: int = 0) -> None:
        self.shared = shared
        self.offset = offset
        self._set: Any = shared.pointer("struct exo_ringset *", offset)
        self._message: Any = ffi.new("struct exo_message *")
        if self._set.magic not in (0, lib.EXO_RINGSET_MAGIC):
            raise ValueError(f"no set of rings at {offset}")

    @classmethod
    def create(
        cls,
        order: int = lib.EXO_RING_ORDER,
        kind: Kind = Kind.MPMC,
        *,
        count: int = 0,
        sleeps: bool = True,
    ) -> RingSet:
        """Make rings of 2**order slots in memory of their own.

        kind: MPSC where each ring has one consumer, else MPMC. count: 0, one for each CPU that the
        machine has, 64 at most. Errors: EINVAL, order, kind, count.
        """
        count = count or min(os.cpu_count() or 1, lib.EXO_RINGSET_MAX)
        if not 1 <= order <= lib.EXO_RING_ORDER_MAX or not 1 <= count <= lib.EXO_RINGSET_MAX:
            check(-22)
        rings = cls(Shared.create(lib.exo_ringset_size(count, order)))
        flags = 0 if sleeps else lib.EXO_RING_NEVER_SLEEPS
        check(lib.exo_ringset_init(rings._set, count, order, kind, flags))
        return rings

    @property
    def address(self) -> int:
        """Where it is in this process, for exo_um.ipc.ringset_jit."""
        return self.shared.address + self.offset

    @property
    def rings(self) -> list[Ring]:
        """The rings, by CPU, for consumers that take from one alone."""
        at = (lib.exo_ringset_ring(self._set, i) for i in range(self._set.count))
        start = self.shared.address
        return [Ring(self.shared, int(ffi.cast("uintptr_t", ring)) - start) for ring in at]

    def push(self, data: bytes, type: int = 0, owner: int = 0) -> None:  # noqa: A002
        """Put a message in. Errors: EAGAIN no room in this CPU's ring, EPIPE closed, EMSGSIZE."""
        check(lib.exo_ringset_push(self._set, owner, type, data, len(data)))

    def push_wait(
        self,
        data: bytes,
        policy: WaitPolicy,
        type: int = 0,  # noqa: A002
        owner: int = 0,
    ) -> None:
        """Put a message in, waiting for room. Errors: ETIMEDOUT, EINTR, EPIPE, EMSGSIZE."""
        check(lib.exo_ringset_push_wait(self._set, owner, type, data, len(data), policy.struct))

    def pop(self, owner: int = 0) -> Message:
        """Take a message out of any ring. Errors: EAGAIN nothing there, EPIPE and all closed."""
        check(lib.exo_ringset_pop(self._set, owner, self._message))
        return message_of(self._message)

    def pop_wait(self, policy: WaitPolicy, owner: int = 0) -> Message:
        """Take a message out of any ring, waiting for one. Errors: ETIMEDOUT, EINTR, EPIPE."""
        check(lib.exo_ringset_pop_wait(self._set, owner, self._message, policy.struct))
        return message_of(self._message)

    def close(self) -> None:
        """End pushes, for everybody; what is in the rings can still be taken out."""
        lib.exo_ringset_close(self._set)

    def __len__(self) -> int:
        """How many messages are in all rings, about."""
        return int(lib.exo_ringset_count(self._set))

    @staticmethod
    def sleeper() -> int:
        """Return the address of the C function that waits for a message (exo_um.ipc.wait_jit)."""
        return int(ffi.cast("uintptr_t", lib.exo_ringset_pop_wait))
