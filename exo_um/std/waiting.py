"""Tasks of an event loop that wait for a channel. Imported when the first one has to.

Who waits is woken by the loop's own tasks at once; for messages of others a thread waits in its
place (native/python/watcher.c), but only when the loop has been round once and it still waits.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque

from exo_um.bindings._port import Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

    from exo_um.std.channel import Channel


class Side:
    """Those of one event loop that wait for a message, for room, or for a block of a channel."""

    def __init__(self, channel: Channel[Any], what: int, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = weakref.ref(channel)
        self._what = what
        self._size = 0
        self.loop = loop
        self._thread = threading.get_ident()
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._watcher: Watcher | None = None
        self._planned = self._armed = False

    async def wait(self, size: int) -> None:
        """Wait until another try is worth it. Errors: ChannelClosed, PeerLost."""
        future = self.loop.create_future()
        self.waiting.append(future)
        self._size = max(self._size, size)
        if not (self._planned or self._armed):
            self._planned = True
            self.loop.call_soon(self._arm)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):
                self.waiting.remove(future)

    def tell(self) -> None:
        """Wake one: somebody of this process has sent a message."""
        if threading.get_ident() == self._thread:
            self._wake_one()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._wake_one)

    def _wake_one(self) -> None:
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                break

    def _arm(self) -> None:
        self._planned = False
        if not self.waiting or self.loop.is_closed():
            return
        if self._watcher is None:
            channel = self._channel()
            assert channel is not None, "who waits keeps it"
            self._watcher = Watcher(channel, self._what)
            self.loop.add_reader(self._watcher.fileno(), _forward, weakref.ref(self))
        self._armed = True
        self._watcher.arm(self._size)

    def ready(self) -> None:
        """Have each that waits try, now that the thread has found something."""
        assert self._watcher is not None
        self._armed = False
        self._size = 0
        error: OSError | None = None
        try:
            self._watcher.taken()
        except OSError as raised:
            error = raised
        while self.waiting:
            future = self.waiting.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def close(self) -> None:
        """End the thread."""
        if self._watcher is not None:
            if not self.loop.is_closed():
                self.loop.remove_reader(self._watcher.fileno())
            self._watcher.close()
            self._watcher = None

    def __del__(self) -> None:
        self.close()


def _forward(side: weakref.ref[Side]) -> None:
    """Pass it on without having the loop keep the channel."""
    found = side()
    if found is not None:
        found.ready()
