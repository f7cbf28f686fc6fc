"""The memory of a channel in this process: made or mapped, joined, left (native/core/channel.c)."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import NamedTuple

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SENDS: int = lib.EXO_CHANNEL_SENDS
RECEIVES: int = lib.EXO_CHANNEL_RECEIVES
DATA: int = lib.EXO_CHANNEL_DATA
ROOM: int = lib.EXO_CHANNEL_ROOM
BLOCK: int = lib.EXO_CHANNEL_BLOCK
INLINE_SIZE: int = lib.EXO_RING_PAYLOAD
EXTRA_SIZE: int = lib.EXO_CHANNEL_EXTRA
TYPE_SIZE: int = lib.EXO_CHANNEL_TYPE
POOLS: int = lib.EXO_CHANNEL_POOLS
ORDER_MAX: int = lib.EXO_RING_ORDER_MAX


_joined: weakref.WeakSet[ChannelMemory] = weakref.WeakSet()


def _depart() -> None:
    """Leave in order at the interpreter's end: what is not in order looks like a kill."""
    for memory in list(_joined):
        memory.depart()


atexit.register(_depart)


class Blocks(NamedTuple):
    """Blocks of one size: bytes, a multiple of 4096, and how many."""

    size: int
    number: int


class ChannelMemory:
    """A channel's shared memory, this process's number in it, and a struct exo_port.

    It leaves the channel when nobody keeps it any more.
    Errors: EAGAIN, 63 processes have joined; EBADMSG, it is no channel; EPERM, it is no memory that
    nobody can shrink.
    """

    __slots__ = ("__weakref__", "_mapped", "_number", "_pid", "_port", "shared")

    def __init__(self, shared: Shared) -> None:
        self._number = 0
        self._pid = 0
        self.shared = shared
        self._port: Any = ffi.new("struct exo_port *")
        self._mapped: Any = ffi.new("struct exo_mapped *")
        self._mapped.at = shared.pointer("void *", 0)
        self._mapped.size = shared.size
        check(lib.exo_channel_open(self._channel(), shared.size, self._port))
        self.rejoin()

    @classmethod
    def create(cls, order: int, blocks: Sequence[Blocks], description: str) -> ChannelMemory:
        """Make a channel of 2**order messages. Errors: EINVAL."""
        shape = ffi.new("struct exo_channel_shape *")
        shape.order = order
        shape.kind = lib.EXO_RING_MPMC
        for i, (size, count) in enumerate(blocks):
            shape.block_size[i] = size
            shape.block_count[i] = count
        size = lib.exo_channel_size(shape)
        shared = Shared.create(size if size > 0 else check(-22))
        channel = shared.pointer("struct exo_channel *", 0)
        check(lib.exo_channel_init(channel, shape, description.encode()))
        return cls(shared)

    def _channel(self) -> Any:
        return self.shared.pointer("struct exo_channel *", 0)

    @property
    def address(self) -> int:
        """Where this process's struct exo_port is."""
        return int(ffi.cast("uintptr_t", self._port))

    @property
    def ring_address(self) -> int:
        """Where the channel's ring is, for native code: exo_fiber_push(), exo_um.ipc.ring_jit."""
        return int(ffi.cast("uintptr_t", self._port.ring))

    @property
    def owner(self) -> int:
        """This process's number, which rings' and blocks' functions ask for."""
        return self._number

    @property
    def description(self) -> str:
        """What the channel carries, as its maker said."""
        channel = self._channel()
        return bytes(ffi.string(channel.type, TYPE_SIZE)).decode(errors="replace")

    @property
    def copied(self) -> int:
        """How many bytes went through memcpy on their way into blocks or out of them."""
        return sum(self._port.pools[i].pool.copied for i in range(self._port.pool_count))

    @property
    def free_blocks(self) -> list[int]:
        """How many blocks of each size are free."""
        port = self._port
        return [lib.exo_pool_free_count(port.pools[i].pool) for i in range(port.pool_count)]

    @property
    def block_size_max(self) -> int:
        """Bytes of the largest message."""
        port = self._port
        return max((port.pools[i].size for i in range(port.pool_count)), default=INLINE_SIZE)

    def rejoin(self) -> None:
        """Take a number; a forked child needs one of its own."""
        number = check(lib.exo_host_join(self._port.roster, self._mapped))
        lib.exo_port_join(self._port, number)
        self._number = number
        self._pid = os.getpid()
        _joined.add(self)

    def ticket(self) -> int:
        """Say that another process is going to join; 0, if too many are."""
        return int(lib.exo_port_ticket(self._port))

    def end_ticket(self, ticket: int) -> None:
        """Say that it has joined, or never will; may be done twice."""
        if self._number:
            lib.exo_port_ticket_end(self._port, ticket)

    def bury(self) -> int:
        """Bring back what dead processes had; how many of them there were."""
        return int(lib.exo_port_bury(self._port))

    def depart(self) -> None:
        """Tell the others that this process is through with it; blocks stay its own."""
        if self._number and self._pid == os.getpid():
            lib.exo_port_leave(self._port)

    def leave(self) -> None:
        """Give the number back and unmap. Errors: none, it may be done twice."""
        if self._number and self._pid == os.getpid():
            lib.exo_port_leave(self._port)
            check(lib.exo_host_leave(self._port.roster, self._mapped, self._number))
            lib.exo_port_stir(self._port)
        self._number = 0
        self.shared.close()

    def __del__(self) -> None:
        if self._number:
            self.leave()
