"""What the workers of test_spawn.py run: it must be found by name."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from exo_um.std import Channel, Directory, File, channel


@dataclass
class Item:
    name: str
    parts: list[int]


class OwnError(Exception):
    pass


def give_back(*values: Any, **names: Any) -> Any:
    return (values, names)


def where() -> tuple[int, set[int], bool]:
    return (
        os.getpid(),
        os.sched_getaffinity(0),
        threading.current_thread() is threading.main_thread(),
    )


def fail(text: str) -> None:
    raise OwnError(text, 5)


def fail_oddly() -> None:
    raise RuntimeError(object())


def unfit() -> Any:
    return object()


def double(there: Channel[int], back: Channel[int]) -> int:
    count = 0
    for number in there:
        back.send(number * 2)
        count += 1
    return count


def scale(frames: Channel[np.ndarray], out: Channel[np.ndarray]) -> None:
    for frame in frames:
        result = out.allocate(frame.shape, frame.dtype)
        np.multiply(frame, 2, out=result)
        out.send(result)


def receive(ch: Channel[bytes]) -> bytes:
    return ch.receive()


def receive_or_say(ch: Channel[bytes], said: Channel[str]) -> None:
    said.send("waits")
    try:
        ch.receive()
    finally:
        said.send("ends")


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def wait_for(ch: Channel[bytes]) -> bytes:
    return await ch


async def sleep_for_ever(said: Channel[str]) -> None:
    said.send("waits")
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        said.send("ends")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_channel() -> Channel[str]:
    made = channel[str]()
    made.send("from the worker")
    return made


def use_files(below: Directory, file: File) -> list[Any]:
    try:
        below.remove("there")
    except PermissionError as error:
        refused = error.errno
    return [below.names(), file.read(), refused]
