"""What channels carry: arrays without copies, dataclasses, and what they refuse."""

from __future__ import annotations

import enum
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exo_um.std import channel


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 7


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    index: Annotated[int, "H"] = 0


@dataclass(slots=True)
class One:
    value: int


@dataclass
class Shape:
    name: str
    corner: Point
    data: bytes
    size: int
    colour: Colour
    filled: bool
    label: str = field(default="", kw_only=True)


@dataclass
class Frame:
    number: int
    name: str
    pixels: np.ndarray
    taken: float


@dataclass
class Typed:
    values: NDArray[np.float32]


@pytest.mark.parametrize(
    "message",
    [
        "", "text", "ä" * 5000, 0, -(2**63), 2**63 - 1, 1.5, True, b"x",
        Point(1, 2, 65535), One(-1),
        Shape("a", Point(3, 4), b"\0" * 3000, 5, Colour.BLUE, True, label="ü"),
        Shape("", Point(0, 0), b"", 0, Colour.RED, False),
    ],
)  # fmt: skip
def test_round(message: Any) -> None:
    ch = channel[type(message)]()
    ch.send(message)
    got = ch.receive()
    assert got == message
    assert type(got) is type(message)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (int, 2**63), (int, "1"), (str, b"x"), (float, "x"), (bytes, "x"), (One, Point(1, 2)),
        (One, One("x")), (Point, Point(1, 2, 65536)), (Shape, None), (np.ndarray, [1, 2]),
        (np.ndarray, np.array([object()])), (Frame, Frame(1, "", None, 2.0)),
        (Typed, Typed(np.zeros(3))),
    ],
)  # fmt: skip
def test_wrong_message(kind: type, message: Any) -> None:
    ch = channel[kind]()
    with pytest.raises(TypeError):
        ch.send(message)
    assert len(ch) == 0
    gc.collect()
    assert ch.memory.free_blocks == [256, 64, 16]


@dataclass
class HasList:
    items: list[int]


@dataclass
class HasTwo:
    a: np.ndarray
    b: np.ndarray


@dataclass
class HasNone:
    pass


@pytest.mark.parametrize("kind", [dict, list, object, type, HasList, HasTwo, HasNone, complex])
def test_refused(kind: type) -> None:
    with pytest.raises(TypeError, match="cannot travel"):
        channel[kind]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10), np.zeros((3, 0, 2)), np.array(5.0), np.ones((2, 3, 4), ">f4"),
        np.zeros((1, 2, 3, 4, 5), "c16"), np.array([b"abc", b"d"]), np.array(["ü"]),
        np.array(["2026-01-01"], "M8[ns]"), np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(40)[::3], np.zeros(3, [("a", "i2"), ("b", "f8", (2,))]), np.zeros(2, bool),
    ],
)  # fmt: skip
def test_arrays(array: np.ndarray) -> None:
    ch = channel[np.ndarray]()
    ch.send(array)
    got = ch.receive()
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert (got == array).all()


def test_no_copy() -> None:
    """An array made in the channel is where it was at the other end, and its block comes back."""
    ch = channel[NDArray[np.float32]]()
    for _ in range(100):
        array = ch.allocate((512, 512), np.float32)
        array[:] = 3
        ch.send(array)
        assert not array.flags.writeable
        got = ch.receive()
        assert got.flags.writeable
        got += 1
        assert ch.memory.free_blocks[-1] == 15
        view = got[1:, ::2]
        del got, array
        assert view.sum() == 4 * 511 * 256
        assert ch.memory.free_blocks[-1] == 15
        del view
        assert ch.memory.free_blocks[-1] == 16
    assert ch.memory.copied == 0
    ch.send(np.zeros((4, 4), np.float32))
    assert ch.memory.copied == 64
    with pytest.raises(TypeError, match="float32"):
        ch.send(np.zeros(4))


def test_given_away() -> None:
    """What was sent is not sent twice: the second time it is copied."""
    ch = channel[np.ndarray]()
    array = ch.allocate(5000)
    array[:] = 9
    ch.send(array)
    ch.send(array)
    first, second = ch.receive(), ch.receive()
    first[:] = 1
    assert (second == 9).all()
    assert ch.memory.copied == 5000


def test_frames() -> None:
    ch = channel[Frame]()
    pixels = ch.allocate((480, 640, 3))
    pixels[:] = 5
    ch.send(Frame(1, "first", pixels, 0.5))
    got = ch.receive()
    assert (got.number, got.name, got.taken) == (1, "first", 0.5)
    assert got.pixels.shape == (480, 640, 3)
    assert (got.pixels == 5).all()
    assert ch.memory.copied == 0
    ch.send(got)
    assert ch.receive().name == "first"
    assert ch.memory.copied == 0


def test_bytes_in_place() -> None:
    ch = channel[bytes]()
    block = ch.allocate_block(100000)
    memoryview(block)[:3] = b"abc"
    ch.send(block)  # type: ignore[arg-type]
    view = ch.receive_view()
    assert view[:3] == b"abc"
    assert len(view) == 100000
    assert ch.memory.copied == 0


def test_between_channels() -> None:
    """A block of one channel goes through another one as a copy."""
    a, b = channel[np.ndarray](), channel[np.ndarray]()
    array = a.allocate(4096)
    array[:] = 1
    b.send(array)
    assert b.receive().sum() == 4096
    assert array.flags.writeable
    assert b.memory.copied == 4096


def test_dropped() -> None:
    """A channel and its arrays may go in any order."""
    made: list[Callable[[], Any]] = []
    for _ in range(20):
        ch = channel[np.ndarray]()
        array = ch.allocate(100000)
        array[:] = 2
        ch.send(array)
        got = ch.receive()
        fd = ch.fileno()
        ch.leave()
        del ch, array
        made.append(lambda got=got: got.sum())
    assert all(one() == 200000 for one in made)
    made.clear()
    assert fd > 0
