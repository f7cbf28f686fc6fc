"""Numpy arrays in blocks of a channel: the block travels, the bytes stay where they are.

Beside the block go 32 bytes: the dtype's code (8) and up to three dimensions (8 each, -1: none).
What does not fit in there, and the other fields of a dataclass, stand behind the array in the
block.
"""

from __future__ import annotations

import json
import math
import struct
import weakref
from functools import lru_cache
from typing import Any, get_args

import numpy as np

from exo_um.bindings._port import Block
from exo_um.std.codec import Codec, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings._port import Port

    Array = np.ndarray[Any, np.dtype[Any]]

_SHORT = struct.Struct("<8s3q")
_LONG = struct.Struct("<8sQQ")
_BEHIND = b"\xffbehind"


def dtype_of(kind: Any) -> np.dtype[Any] | None:
    """Return the dtype that an annotation prescribes, if any: of np.ndarray[..., np.dtype[X]]."""
    for argument in get_args(kind)[1:2]:
        for scalar in get_args(argument):
            if isinstance(scalar, type) and issubclass(scalar, np.generic) and _is_concrete(scalar):
                return np.dtype(scalar)
    return None


def _is_concrete(scalar: type[np.generic]) -> bool:
    try:
        return np.dtype(scalar).type is scalar
    except TypeError:
        return False


def check(array: Array, dtype: np.dtype[Any] | None) -> None:
    """Raise TypeError where a message is not such an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"this channel carries numpy arrays, not {type(array).__name__}")
    if array.dtype.hasobject:
        raise refuse(array.dtype, "an array of Python objects has no bytes of its own")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"this channel carries arrays of {dtype}, not of {array.dtype}")


@lru_cache(256)
def _short(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes | None:
    code = dtype.str.encode()
    if dtype.names or dtype.subdtype or len(shape) > 3 or len(code) > 8 or code[:1] == b"|V":
        return None
    return _SHORT.pack(code, *shape, *(-1,) * (3 - len(shape)))


@lru_cache(256)
def _meaning(extra: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    code, *shape = _SHORT.unpack(extra)
    return np.dtype(code.rstrip(b"\0").decode("ascii")), tuple(n for n in shape if n >= 0)


def block_of(array: Array, port: Port[Any]) -> Block | None:
    """Return the block of this port that an array fills from its beginning, if it does."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if type(base) is memoryview:
        base = base.obj
    ours = type(base) is Block and base.port is port and base.held
    return base if ours and base.begins_with(array) else None


def over(block: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array whose bytes are a block's, and that keeps it."""
    return np.ndarray(shape, dtype, buffer=block)


def allocate(
    port: Port[Any], shape: Any, dtype: Any, timeout: float | None, room: int = 0
) -> Array:
    """Return an array in a block, with room bytes behind it. Its bytes are whatever they were."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(shape) * dtype.itemsize
    block = port.allocate_block(size + room, timeout)
    return over(block, shape, dtype)


def _behind(array: Array, rest: bytes) -> tuple[bytes, bytes]:
    """Return what goes beside a block and what goes behind its array."""
    text = json.dumps([np.lib.format.dtype_to_descr(array.dtype), array.shape]).encode()
    tail = struct.pack("<I", len(text)) + text + rest
    return _LONG.pack(_BEHIND, array.nbytes, len(tail)), tail


def describe(array: Array, rest: bytes) -> tuple[bytes, bytes]:
    """Return what goes beside an array's bytes, and what behind them."""
    extra = None if rest else _short(array.dtype, array.shape)
    return (extra, b"") if extra is not None else _behind(array, rest)


def rebuild(data: bytes, extra: bytes, tail: bytes) -> Array:
    """Return the array that describe() has described: a copy of its bytes, writable."""
    if extra[:8] != _BEHIND.ljust(8, b"\0"):
        dtype, shape = _meaning(extra)
    else:
        dtype, shape, _ = _long_meaning(tail)
    return over(bytearray(data), shape, dtype)


def send_block(
    port: Port[Any] | None, array: Array, rest: bytes | None, timeout: float | None
) -> Block:
    """Return the block to be sent: the array's own where it can be, a copy elsewhere."""
    assert port is not None, "who sends keeps it"
    extra = _short(array.dtype, array.shape) if rest is None else None
    tail = b""
    if extra is None:
        extra, tail = _behind(array, rest or b"")
    block = block_of(array, port)
    if block is None or len(block) < array.nbytes + len(tail):
        copy = allocate(port, array.shape, array.dtype, timeout, len(tail))
        np.copyto(copy, array)
        block = copy.base  # type: ignore[assignment]
        assert isinstance(block, Block)
        block.copied(array.nbytes)
    else:
        array.flags.writeable = False  # it is going to be the receiver's
    if tail:
        memoryview(block)[array.nbytes : array.nbytes + len(tail)] = tail
    block.extra = extra
    return block


def receive_block(block: Block) -> tuple[Array, bytes]:
    """Return the array in a block that was received, and the rest behind it."""
    extra = block.extra
    if extra[:8] != _BEHIND.ljust(8, b"\0"):
        dtype, shape = _meaning(extra)
        return over(block, shape, dtype), b""
    _, at, size = _LONG.unpack(extra)
    tail = bytes(memoryview(block)[at : at + size])
    dtype, shape, rest = _long_meaning(tail)
    return over(block, shape, dtype), rest


def _long_meaning(tail: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bytes]:
    (length,) = struct.unpack_from("<I", tail)
    descr, dims = json.loads(tail[4 : 4 + length])
    dtype = np.lib.format.descr_to_dtype(_tuples(descr))
    if dtype.hasobject:
        raise refuse(dtype, "it names Python objects")
    return dtype, tuple(dims), tail[4 + length :]


def _tuples(descr: Any) -> Any:
    """Make of JSON's lists what numpy's descr is made of."""
    if isinstance(descr, str):
        return descr
    return [(name, _tuples(kind), *map(tuple, shape)) for name, kind, *shape in descr]


def codec_of(kind: Any) -> Codec:
    """Return the codec of an array type."""
    dtype = dtype_of(kind)

    def bind(port: Port[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        here = weakref.ref(port)  # which keeps encode

        def encode(array: Array, timeout: float | None) -> Block:
            check(array, dtype)
            return send_block(here(), array, None, timeout)

        def decode(block: Block) -> Array:
            array = receive_block(block)[0]
            check(array, dtype)
            return array

        return encode, decode

    return Codec(f"array {dtype or 'of any dtype'}", bind=bind)
