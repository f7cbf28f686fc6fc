"""Scheduling: policies, attributes, affinity."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, flags, hexadecimal, named
from posix_x.decode.values import array, number, shower
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View


@shower("sched_attr")
def _sched_attr(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    size, policy, bits, nice, priority, *times = struct.unpack_from("<IIQiI3Q", data)
    kind = policy & ~0x40000000
    shown = [f"size={size}"]
    if size and size < 48:
        return "{" + shown[0] + "}"
    reset = "SCHED_RESET_ON_FORK|" if policy & 0x40000000 else ""
    known = kind in SETS["sched_policy_alone"][2]
    shown.append("sched_policy=" + (reset + named("sched_policy_alone", kind) if known else
                                    named("sched_policy_alone", policy)))  # fmt: skip
    shown.append(f"sched_flags={flags('sched_attr_flags', bits)}")
    if not bits & 0x10:
        shown += [f"sched_nice={nice}", f"sched_priority={priority}"]
        names = ("sched_runtime", "sched_deadline", "sched_period")
        shown += [f"{name}={time}" for name, time in zip(names, times, strict=True)]
    if len(data) >= 56 and (not size or size >= 56):
        low, high = struct.unpack_from("<II", data, 48)
        shown += [f"sched_util_min={low}", f"sched_util_max={high}"]
    return "{" + ", ".join([*shown, *(["..."] if size > 56 else [])]) + "}"


@special("sched_setattr")
def _sched_setattr(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    at = view.args[1]
    data = view.before.peek(at, 56) if at else b""
    yield _sched_attr(view, data, at, view.before) if len(data) >= 48 else address(at)
    yield str(view.u32(2))


@special("sched_getattr")
def _sched_getattr(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield LATE
    size = view.u32(2)
    data = view.after.peek(view.args[1], min(size, 56)) if not view.failed else b""
    shown = len(data) >= 48
    yield _sched_attr(view, data, view.args[1], view.after) if shown else address(view.args[1])
    yield str(size)
    yield str(view.u32(3))


@special("sched_setscheduler")
def _sched_setscheduler(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield number(view, "sched_policy", view.args[1])
    data = view.before.peek(view.args[2], 4) if view.args[2] else b""
    yield f"[{int.from_bytes(data, 'little', signed=True)}]" if data else address(view.args[2])


@special("sched_setaffinity", "sched_getaffinity")
def _affinity(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield str(view.u32(1))
    sets = view.name == "sched_setaffinity"
    if not sets:
        yield LATE
    size = view.u32(1) if sets else max(view.result or 0, 0)
    data = (view.before if sets else view.after).peek(view.args[2], min(size, 1024))
    bits = int.from_bytes(data, "little")
    found = [str(i) for i in range(len(data) * 8) if bits >> i & 1]
    limit = view.options.string_limit
    shown = "[" + " ".join(found[:limit] + (["..."] if len(found) > limit else [])) + "]"
    known = (data and (sets or not view.failed)) or (sets and view.args[2] and not size)
    yield shown if known else address(view.args[2])


@special("sched_get_priority_max", "sched_get_priority_min")
def _sched_priority(view: View) -> Iterator[str]:
    yield named("sched_policy_alone", view.u32(0))


@special("getgroups", "setgroups")
def _getgroups(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    sets = view.name == "setgroups"
    if not sets:
        yield LATE
    count = view.u32(0) if sets else max(view.result or 0, 0)
    if (view.failed and not sets) or (not sets and not view.i32(0)):
        yield address(view.args[1])
    else:
        yield array(view, "gid", view.args[1], count, view.before if sets else view.after)


@special("kcmp")
def _kcmp(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield str(view.i32(1))
    yield number(view, "kcmp_type", view.args[2])
    kind = SETS["kcmp_type"][2].get(view.i32(2), "")
    if kind == "KCMP_FILE":
        yield str(view.u32(3))
        yield str(view.u32(4))
    elif kind == "KCMP_EPOLL_TFD":
        yield str(view.u32(3))
        data = view.before.peek(view.args[4], 12) if view.args[4] else b""
        slot = "efd={}, tfd={}, toff={}".format(*struct.unpack("<III", data.ljust(12, b"\0")))
        yield f"{{{slot}}}" if len(data) == 12 else hexadecimal(view.args[4])
    elif not kind:
        yield hexadecimal(view.args[3])
        yield hexadecimal(view.args[4])
