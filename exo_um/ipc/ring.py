"""Fusion rings as Python objects: messages of up to 56 bytes, or blocks, between processes.

Served by the C core; jitted programs call exo_um.ipc.ring_jit with `Ring.address` instead. Nothing
here imports numba.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOREVER = 2**64 - 1


class Kind(enum.IntEnum):
    """Who may push and pop at the same time."""

    SPSC = lib.EXO_RING_SPSC
    MPSC = lib.EXO_RING_MPSC
    MPMC = lib.EXO_RING_MPMC


@dataclass(frozen=True, slots=True)
class Message:
    """What a pop gives: up to 56 bytes, and the type that the sender chose (0 to 255)."""

    data: bytes
    type: int


def message_of(struct: Any) -> Message:
    """Return what a C function has put into a struct exo_message."""
    return Message(bytes(ffi.buffer(struct.payload, struct.size)), int(struct.type))


class WaitPolicy:
    """How to wait: spins with a pause between, then yields, then sleep if `sleeps`.

    timeout: seconds, None for ever. peer: the owner whose death ends the wait with EPIPE.
    """

    __slots__ = ("struct",)

    def __init__(
        self,
        spins: int = 200,
        yields: int = 10,
        *,
        sleeps: bool = True,
        timeout: float | None = None,
        peer: int = 0,
    ) -> None:
        self.struct: Any = ffi.new("struct exo_wait_policy *")
        self.struct.spins = spins
        self.struct.yields = yields
        self.struct.sleeps = sleeps
        self.struct.peer = peer
        self.struct.timeout_ns = FOREVER if timeout is None else round(timeout * 1e9)

    @property
    def address(self) -> int:
        """Where the struct is, for exo_um.ipc.wait_jit."""
        return int(ffi.cast("uintptr_t", self.struct))


class Ring:
    """A ring at an offset in shared memory, on a multiple of 64 bytes."""

    __slots__ = ("_message", "_ring", "address", "shared")

    def __init__(self, shared: Shared, offset: int = 0) -> None:
        self.shared = shared
        self.address = shared.address + offset
        self._ring: Any = shared.pointer("struct exo_ring *", offset)
        self._message: Any = ffi.new("struct exo_message *")
        if self._ring.magic not in (0, lib.EXO_RING_MAGIC):
            raise ValueError(f"no ring at {offset}")

    @classmethod
    def create(
        cls, order: int = lib.EXO_RING_ORDER, kind: Kind = Kind.MPMC, *, sleeps: bool = True
    ) -> Ring:
        """Make a ring of 2**order slots in memory of its own.

        sleeps: False where nobody ever waits but by spinning; a push is cheaper then.
        Errors: EINVAL, order not in 1 to 20.
        """
        if not 1 <= order <= lib.EXO_RING_ORDER_MAX:
            check(-22)
        ring = cls(Shared.create(lib.exo_ring_size(order)))
        flags = 0 if sleeps else lib.EXO_RING_NEVER_SLEEPS
        check(lib.exo_ring_init(ring._ring, order, kind, flags))
        return ring

    def push(self, data: bytes, type: int = 0, owner: int = 0) -> None:  # noqa: A002
        """Put a message in. Errors: EAGAIN no room, EPIPE closed, EMSGSIZE over 56 bytes."""
        check(lib.exo_ring_push(self._ring, owner, type, data, len(data)))

    def pop(self, owner: int = 0) -> Message:
        """Take a message out. Errors: EAGAIN nothing there, EPIPE and closed."""
        check(lib.exo_ring_pop(self._ring, owner, self._message))
        return message_of(self._message)

    def push_wait(
        self,
        data: bytes,
        policy: WaitPolicy,
        type: int = 0,  # noqa: A002
        owner: int = 0,
    ) -> None:
        """Put a message in, waiting for room. Errors: ETIMEDOUT, EINTR, EPIPE, EMSGSIZE."""
        check(lib.exo_ring_push_wait(self._ring, owner, type, data, len(data), policy.struct))

    def pop_wait(self, policy: WaitPolicy, owner: int = 0) -> Message:
        """Take a message out, waiting for one. Errors: ETIMEDOUT, EINTR, EPIPE."""
        check(lib.exo_ring_pop_wait(self._ring, owner, self._message, policy.struct))
        return message_of(self._message)

    def close(self) -> None:
        """End pushes, for everybody; what is in the ring can still be taken out."""
        lib.exo_ring_close(self._ring)

    def __len__(self) -> int:
        """How many messages are in it, about."""
        return int(lib.exo_ring_count(self._ring))

    @staticmethod
    def sleepers() -> tuple[int, int]:
        """Return the addresses of the C functions that wait for a message, and for room."""
        return (
            int(ffi.cast("uintptr_t", lib.exo_ring_pop_wait)),
            int(ffi.cast("uintptr_t", lib.exo_ring_wait_room)),
        )
