"""Channels: `channel[T]()` makes one; messages of type T between tasks, threads and processes.

A channel is a fusion ring and pools of blocks in shared memory (docs/exo_std.md). Up to 56 bytes
travel in the ring; what is larger goes in a block, which changes hands without a copy. Sending and
receiving themselves are in native/python.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Generic, TypeVar

from exo_um.bindings._port import Block, ChannelClosed, PeerLost, Port
from exo_um.bindings.channel import (
    DATA,
    ORDER_MAX,
    RECEIVES,
    SENDS,
    Blocks,
    ChannelMemory,
)
from exo_um.bindings.shared import Shared
from exo_um.std.codec import Codec, codec_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np

    from exo_um.std.waiting import Side

__all__ = ["Block", "Channel", "ChannelClosed", "PeerLost", "channel"]

T = TypeVar("T")
_NOTHING: Any = object()
PAGE = 4096
SMALL = (Blocks(PAGE, 256), Blocks(16 * PAGE, 64))


class Channel(Port[T], Generic[T]):
    """One process's end of a channel: for sending, for receiving, or both.

    Made by `channel[T]()`. Every process that has an end has joined the channel; what a process
    sends or receives for the first time says what it does. Iterating receives until the channel is
    closed. The methods that wait take a timeout in seconds: None for ever, 0 not at all
    (BlockingIOError). They may be called by several threads at once.
    """

    def __init__(self, memory: ChannelMemory, codec: Codec, kind: Any) -> None:
        self.memory = memory
        self.kind = kind
        self._sides: dict[tuple[int, int], Side] = {}
        self._room = codec.room
        encode, decode = codec.encode, codec.decode
        super().__init__(memory.address, memory, encode, decode)
        if codec.bind is not None:
            encode, decode = codec.bind(self)
            super().__init__(memory.address, memory, encode, decode)

    def allocate(
        self, shape: Any, dtype: Any = "u1", timeout: float | None = None
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """Return an array in a block of the channel, to be filled and sent without a copy.

        Its bytes are whatever they were before. Errors: EMSGSIZE, no block is that large.
        """
        from exo_um.std import array

        return array.allocate(self, shape, dtype, timeout, self._room)

    def fileno(self) -> int:
        """Return the fd of the channel's memory, for a process that inherits it."""
        return self.memory.shared.fd

    def send_over(self, sock: socket.socket) -> None:
        """Give another process an end, over an AF_UNIX socket; see ChannelMaker.receive_from()."""
        socket.send_fds(sock, [b"C"], [self.fileno()])

    @property
    def senders(self) -> int:
        """How many other processes send, or have not said yet what they do."""
        return self.others(SENDS)

    @property
    def receivers(self) -> int:
        """How many other processes receive, or have not said yet what they do."""
        return self.others(RECEIVES)

    def __await__(self) -> Generator[Any, None, T]:
        return self.areceive().__await__()

    async def areceive(self) -> T:
        """Receive a message; other tasks of the event loop run meanwhile."""
        while (message := self.take(_NOTHING)) is _NOTHING:
            await self._side(DATA).wait(0)
        return message

    async def asend(self, message: T) -> None:
        """Send a message; other tasks of the event loop run while there is no room."""
        while True:
            try:
                self.send(message, 0)
            except BlockingIOError:
                what, size = self.full
                await self._side(what).wait(size)
            else:
                return

    def _side(self, what: int) -> Side:
        """Return who waits in the running loop for a message, room, or a block."""
        import asyncio

        from exo_um.std.waiting import Side

        loop = asyncio.get_running_loop()
        side = self._sides.get((what, id(loop)))
        if side is None or side.loop is not loop:
            side = self._sides[what, id(loop)] = Side(self, what, loop)
        if what == DATA:
            self.sent = self._tell
        return side

    def _tell(self) -> None:
        """Somebody of this process has sent a message, and a task may wait for it."""
        waiting = [side for (what, _), side in self._sides.items() if what == DATA and side.waiting]
        if not waiting:
            self.sent = None
        for side in waiting:
            side.tell()

    def leave(self) -> None:
        """Have no end any more: what this process still held in the channel stays readable here.

        The last one that sends ends the stream for those that receive by this, and the other way
        round. Dropping the object does the same.
        """
        for side in self._sides.values():
            side.close()
        self._sides.clear()
        self.detach()
        self.memory.depart()

    def __enter__(self) -> Channel[T]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.leave()

    def __aiter__(self) -> Channel[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.areceive()
        except ChannelClosed:
            raise StopAsyncIteration from None

    def __repr__(self) -> str:
        return f"<channel of {self.memory.description}, {len(self)} waiting>"


class ChannelMaker(Generic[T]):
    """`channel[T]`: makes channels of T, or joins those that others have made."""

    __slots__ = ("_codec", "kind")

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self._codec = codec_of(kind)

    def __call__(
        self, capacity: int = 4096, *, largest: int = 8 << 20, blocks: int = 16
    ) -> Channel[T]:
        """Make a channel.

        capacity: messages, a power of two. largest: bytes of the largest message. blocks: how many
        of that size are there at most, on their way or in use; there are 256 of 4 KiB and 64 of
        64 KiB besides. Memory that is never used costs nothing.
        Errors: ValueError, capacity.
        """
        order = capacity.bit_length() - 1
        if capacity & (capacity - 1) or not 1 <= order <= ORDER_MAX:
            raise ValueError(f"capacity {capacity} is no power of two from 2 to {1 << ORDER_MAX}")
        size = -(-max(largest + self._codec.room, PAGE) // PAGE) * PAGE
        pools = [*(pool for pool in SMALL if pool.size < size), Blocks(size, max(1, blocks))]
        memory = ChannelMemory.create(order, pools, self._codec.description)
        return Channel(memory, self._codec, self.kind)

    def join(self, fd: int) -> Channel[T]:
        """Join the channel whose memory is behind fd, which the channel owns from now on.

        Errors: TypeError, it carries something else; EBADMSG and EPERM, it is no channel; EAGAIN,
        63 processes have joined.
        """
        memory = ChannelMemory(Shared(fd))
        if memory.description != self._codec.description:
            carries = memory.description
            memory.leave()
            raise TypeError(f"this channel carries {carries}, not {self._codec.description}")
        return Channel(memory, self._codec, self.kind)

    def receive_from(self, sock: socket.socket) -> Channel[T]:
        """Join the channel that another process sends by Channel.send_over()."""
        _, fds, _, _ = socket.recv_fds(sock, 1, 1, socket.MSG_CMSG_CLOEXEC)
        if len(fds) != 1:
            for fd in fds:
                os.close(fd)
            raise ChannelClosed(32, "no channel came")
        return self.join(fds[0])


class _Channels:
    """The name `channel`, to be subscribed by what the channel carries."""

    __slots__ = ()

    def __getitem__(self, kind: type[T], /) -> ChannelMaker[T]:
        return ChannelMaker(kind)


channel = _Channels()
