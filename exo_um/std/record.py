"""Dataclasses as bytes: the fixed-size fields packed by struct, then those that have a length.

int is 8 bytes, float 8, bool 1, an IntEnum 8; Annotated[int, "H"] says another code of struct. str
and bytes stand behind the fixed part, nested dataclasses are taken apart.
One field may be a numpy array: it goes in a block, without a copy (exo_um/std/array.py).
"""

from __future__ import annotations

import dataclasses
import enum
import struct
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from exo_um.std.codec import CARRIES, Codec, is_array, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings._port import Port

_CODES: dict[Any, str] = {int: "q", float: "d", bool: "?"}
ROOM = 4096
_KINDS: dict[Any, str] = {str: "s", bytes: "b"}


@dataclasses.dataclass(slots=True)
class _Plan:
    """What compiling a class has come to so far.

    codes: of the fixed part; a field with a length has its length there. variable: index and kind
    of those. array: index and type of the array, of which nothing is in the fixed part.
    """

    codes: list[str] = dataclasses.field(default_factory=list)
    paths: list[str] = dataclasses.field(default_factory=list)
    variable: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    array: tuple[int, Any] | None = None
    flat: bool = True


Builder = Callable[[list[Any]], Any]


def _add(plan: _Plan, kind: Any, path: str, whole: type) -> Builder:
    """Note a field of a type; return what takes its value from the values, in order."""
    index = len(plan.paths)
    code = _code_of(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        plan.flat = False
        return _add_class(plan, kind, path + ".")
    plan.paths.append(path)
    if code is not None:
        plan.codes.append(code)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            plan.flat = False
            made = kind
            return lambda values: made(values[index])
        return lambda values: values[index]
    plan.flat = False
    if kind in _KINDS:
        plan.codes.append("I")
        plan.variable.append((index, _KINDS[kind]))
    elif is_array(kind) and plan.array is None:
        plan.codes.append("x")
        plan.array = (index, kind)
    else:
        why = "it is the second array" if is_array(kind) else f"channels carry {CARRIES}"
        raise refuse(whole, f"{path}: {kind!r}: {why}")
    return lambda values: values[index]


def _code_of(kind: Any) -> str | None:
    """Return struct's code of a field of fixed size."""
    if get_origin(kind) is Annotated:
        base, code = get_args(kind)[:2]
        if base in (int, float, bool) and isinstance(code, str) and len(code) == 1:
            struct.calcsize("<" + code)  # raises what is no code
            return code
        return _code_of(base)
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        return "q"
    return _CODES.get(kind)


def _add_class(plan: _Plan, kind: type, prefix: str) -> Builder:
    hints = get_type_hints(kind, include_extras=True)
    builders: list[tuple[str, Builder]] = []
    for field in dataclasses.fields(kind):
        if not field.init:
            raise refuse(kind, f"{field.name} is no argument of its __init__")
        builders.append((field.name, _add(plan, hints[field.name], prefix + field.name, kind)))
        plan.flat = plan.flat and not field.kw_only
    return lambda values: kind(**{name: build(values) for name, build in builders})


def _packer(plan: _Plan, kind: type) -> Callable[[Any], tuple[bytes, Any]]:
    """Return what makes of a message its bytes, and its array."""
    form = struct.Struct("<" + "".join(plan.codes))
    get = attrgetter(*plan.paths)
    single = len(plan.paths) == 1
    array = plan.array[0] if plan.array else -1
    variable = plan.variable

    def pack(message: Any) -> tuple[bytes, Any]:
        values: list[Any] = [get(message)] if single else list(get(message))
        tails = []
        for index, code in variable:
            value = values[index]
            tails.append(value.encode() if code == "s" else bytes(memoryview(value)))
            values[index] = len(tails[-1])
        taken = values.pop(array) if array >= 0 else None
        return form.pack(*values) + b"".join(tails), taken

    def checked(message: Any) -> tuple[bytes, Any]:
        if not isinstance(message, kind):
            raise TypeError(f"this channel carries {kind.__name__}, not {type(message).__name__}")
        try:
            return pack(message)
        except (struct.error, AttributeError) as error:
            raise TypeError(f"{message!r} does not fit its fields: {error}") from error

    return checked


def _unpacker(plan: _Plan, build: Builder) -> Callable[[Any, Any], Any]:
    form = struct.Struct("<" + "".join(plan.codes))

    def unpack(data: Any, array: Any) -> Any:
        view = memoryview(data)
        values = list(form.unpack_from(view))
        if plan.array is not None:
            values.insert(plan.array[0], array)
        at = form.size
        for index, code in plan.variable:
            piece = bytes(view[at : at + values[index]])
            if len(piece) != values[index]:
                raise ValueError("a message shorter than it says")
            at += values[index]
            values[index] = piece.decode() if code == "s" else piece
        return build(values)

    return unpack


def _flat(plan: _Plan, kind: type) -> tuple[Callable[..., bytes], Callable[[Any], Any]]:
    """Return encode and decode where fields are numbers, in the order of __init__."""
    form = struct.Struct("<" + "".join(plan.codes))
    pack, unpack, get = form.pack, form.unpack, attrgetter(*plan.paths)
    single = len(plan.paths) == 1

    def encode(message: Any, _timeout: float | None) -> bytes:
        if type(message) is not kind:
            raise TypeError(f"this channel carries {kind.__name__}, not {type(message).__name__}")
        try:
            return pack(get(message)) if single else pack(*get(message))
        except struct.error as error:
            raise TypeError(f"{message!r} does not fit its fields: {error}") from error

    return encode, lambda data: kind(*unpack(data))


def codec_of(kind: type) -> Codec:
    """Return the codec of a dataclass. Errors: TypeError, a field cannot travel."""
    plan = _Plan()
    build = _add_class(plan, kind, "")
    if not plan.paths:
        raise refuse(kind, "it has no fields")
    fields = ", ".join(f"{path} {code}" for path, code in zip(plan.paths, plan.codes, strict=True))
    description = f"{kind.__qualname__}({fields})"
    if plan.flat:
        return Codec(description, *_flat(plan, kind))
    pack, unpack = _packer(plan, kind), _unpacker(plan, build)
    if plan.array is None:
        return Codec(
            description, lambda message, _: pack(message)[0], lambda data: unpack(data, None)
        )
    return Codec(description, bind=_with_array(plan.array[1], pack, unpack), room=ROOM)


def _with_array(
    kind: Any, pack: Callable[[Any], tuple[bytes, Any]], unpack: Callable[[Any, Any], Any]
) -> Callable[[Port[Any]], tuple[Callable[..., Any], Callable[..., Any]]]:
    from exo_um.std import array as arrays

    dtype = arrays.dtype_of(kind)

    def bind(port: Port[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        here = weakref.ref(port)  # which keeps encode

        def encode(message: Any, timeout: float | None) -> Any:
            rest, array = pack(message)
            arrays.check(array, dtype)
            return arrays.send_block(here(), array, rest, timeout)

        def decode(block: Any) -> Any:
            array, rest = arrays.receive_block(block)
            arrays.check(array, dtype)
            return unpack(rest, array)

        return encode, decode

    return bind
