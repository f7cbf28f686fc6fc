"""What a channel can carry, and how it becomes bytes: bytes, numbers, text, arrays, dataclasses.

Nothing is ever pickled. A type that cannot travel is refused when the channel is made. numpy is
imported for arrays only.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from dataclasses import dataclass
from typing import Any, get_origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from exo_um.bindings._port import Port

CARRIES = "bytes, str, int, float, bool, numpy arrays, and dataclasses of those"


@dataclass(frozen=True, slots=True)
class Codec:
    """How messages of one type travel.

    description: the type's layout in words; both ends of a channel must have the same.
    encode(message, timeout): a buffer, or a Block to be sent away; None, and decode too: bytes as
    they are. bind: made once the port is there, for what needs blocks; gives (encode, decode).
    room: bytes that stand behind an array in its block.
    """

    description: str
    encode: Callable[[Any, float | None], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    bind: Callable[[Port[Any]], tuple[Callable[..., Any], Callable[..., Any]]] | None = None
    room: int = 0


def refuse(kind: object, why: str) -> TypeError:
    """Return the error for a type that cannot travel."""
    name = getattr(kind, "__name__", str(kind))
    return TypeError(f"{name} cannot travel through a channel: {why}")


def _encode_str(message: str, _timeout: float | None) -> bytes:
    try:
        return message.encode()
    except AttributeError:
        raise TypeError(f"this channel carries str, not {type(message).__name__}") from None


def _decode_str(data: Any) -> str:
    return str(data, "utf-8")


def packed(layout: str, kind: type) -> Codec:
    """Return the codec of a number that struct packs."""
    form = struct.Struct("<" + layout)

    def encode(message: Any, _timeout: float | None) -> bytes:
        try:
            return form.pack(message)
        except struct.error as error:
            raise TypeError(f"{message!r} is no {kind.__name__} of {form.size} bytes") from error

    return Codec(f"{kind.__name__} {layout}", encode, lambda data: form.unpack(data)[0])


def is_array(kind: object) -> bool:
    """Whether a type is numpy's array, without importing numpy for those that are not."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (get_origin(kind) or kind) is numpy.ndarray


def codec_of(kind: Any) -> Codec:
    """Return the codec of a type. Errors: TypeError, it cannot travel."""
    if kind is bytes:
        return Codec("bytes")
    if kind is str:
        return Codec("str", _encode_str, _decode_str)
    if kind in (int, float, bool):
        return packed({int: "q", float: "d", bool: "?"}[kind], kind)
    if is_array(kind):
        from exo_um.std import array

        return array.codec_of(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        from exo_um.std import record

        return record.codec_of(kind)
    raise refuse(kind, f"channels carry {CARRIES}")
