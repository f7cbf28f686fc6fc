"""Channels in event loops: tasks of one loop, of two, and of other processes."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from typing import Any

import pytest

from exo_um.std import Channel, ChannelClosed, PeerLost, channel

CHILD = """
import asyncio, os, sys
from exo_um.std import channel
there, back = (channel[bytes].join(int(fd)) for fd in sys.argv[1:])
async def main():
    async for message in there:
        await back.asend(message)
asyncio.run(main())
"""


def start(*channels: Channel[Any], program: str = CHILD) -> subprocess.Popen[bytes]:
    fds = [ch.fileno() for ch in channels]
    return subprocess.Popen([sys.executable, "-P", "-c", program, *map(str, fds)], pass_fds=fds)


def test_tasks() -> None:
    """Senders and receivers of one loop, with little room."""

    async def main() -> None:
        ch, got = channel[int](4), []

        async def send(first: int) -> None:
            for i in range(500):
                await ch.asend(first + i)

        async def receive() -> None:
            got.extend([message async for message in ch])

        receivers = [asyncio.create_task(receive()) for _ in range(3)]
        await asyncio.gather(*(send(n * 1000) for n in range(3)))
        ch.close()
        await asyncio.gather(*receivers)
        assert sorted(got) == [n * 1000 + i for n in range(3) for i in range(500)]

    asyncio.run(main())


def test_await() -> None:
    async def main() -> None:
        ch = channel[str]()
        task = asyncio.ensure_future(ch.areceive())
        await asyncio.sleep(0)
        ch.send("now")
        assert await task == "now"
        ch.send("then")
        assert await ch == "then"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ch.areceive(), 0.01)
        ch.send("later")
        assert await ch == "later"

    asyncio.run(main())


def test_blocks() -> None:
    """Who waits for a block is told when one is freed, by whomever."""

    async def main() -> None:
        ch = channel[bytes](64, largest=4096, blocks=1)
        await ch.asend(bytes(4000))
        task = asyncio.create_task(ch.asend(bytes(3000)))
        await asyncio.sleep(0.01)
        assert not task.done()
        threading.Timer(0.01, ch.receive).start()
        await task
        assert len(await ch) == 3000

    asyncio.run(main())


def test_processes() -> None:
    there, back = channel[bytes](), channel[bytes]()
    child = start(there, back)

    async def main() -> None:
        for i in range(200):
            await there.asend(i.to_bytes(2, "little"))
            assert await back == i.to_bytes(2, "little")
        there.close()
        with pytest.raises(ChannelClosed):
            await back

    asyncio.run(main())
    assert child.wait() == 0


def test_killed() -> None:
    there, back = channel[bytes](), channel[bytes]()
    child = start(there, back)

    async def main() -> None:
        await there.asend(b"x")
        assert await back == b"x"
        others = [asyncio.create_task(back.areceive()) for _ in range(3)]
        await asyncio.sleep(0.01)
        child.kill()
        for task in others:
            with pytest.raises(PeerLost):
                await task

    asyncio.run(main())
    child.wait()


def test_cancel() -> None:
    """No message is lost with the task that would have received it."""

    async def main() -> None:
        ch = channel[int]()
        for i in range(100):
            tasks = [asyncio.create_task(ch.areceive()) for _ in range(2)]
            await asyncio.sleep(0)
            ch.send(i)
            tasks[0].cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert done[1] == i

    asyncio.run(main())


def test_threads_with_loops() -> None:
    there, back = channel[int](), channel[int]()

    async def echo() -> None:
        async for message in there:
            await back.asend(message)

    thread = threading.Thread(target=lambda: asyncio.run(echo()))
    thread.start()

    async def main() -> None:
        for i in range(300):
            await there.asend(i)
            assert await back == i
        there.close()

    asyncio.run(main())
    thread.join()


def test_dropped() -> None:
    """A loop that goes on does not keep a channel that nobody has."""

    async def main() -> None:
        ch = channel[bytes]()
        other = channel[bytes].join(__import__("os").dup(ch.fileno()))
        task = asyncio.create_task(ch.areceive())
        await asyncio.sleep(0.01)
        other.send(b"x")
        assert await task == b"x"
        assert other.receivers == 1
        del ch, task
        gc.collect()
        assert other.receivers == 0

    asyncio.run(main())
