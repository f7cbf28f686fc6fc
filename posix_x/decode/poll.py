"""poll(2), select(2) and kin: what came is told behind the result."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.signals import set_at
from posix_x.decode.text import address, flags
from posix_x.decode.values import array, number, pointed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View


ROOM = 990  # bytes


def _left(view: View, i: int, type_: str) -> str:
    text = pointed(view, type_, view.args[i], view.after)
    return f"left {text}" if text.startswith("{") else ""


def _came(view: View) -> str:
    data = view.after.peek(view.args[0], 8 * min(view.u32(1), 4096))
    shown = [
        f"{{fd={fd}, revents={flags('poll_events', came & 0xFFFF)}}}"
        for fd, _, came in struct.iter_unpack("<ihh", data[: len(data) // 8 * 8])
        if came and fd >= 0
    ]
    limit = min(view.options.string_limit, _room_for(shown))
    return "[" + ", ".join(shown[:limit] + (["..."] if len(shown) > limit else [])) + "]"


def _room_for(items: list[str]) -> int:
    """Return how many have room in the buffer that strace has for what came."""
    size = 1
    for i, item in enumerate(items):
        size += len(item) + 2
        if size > ROOM:
            return i
    return len(items)


def _note(view: View, *parts: str) -> None:
    if view.result is None or view.failed:
        return
    shown = ["Timeout"] if view.result == 0 else [part for part in parts if part]
    view.note = ", ".join(shown)


@special("poll")
def _poll(view: View) -> Iterator[str]:
    yield array(view, "pollfd", view.args[0], view.u32(1), view.before)
    yield str(view.u32(1))
    yield str(view.i32(2))
    if view.result is not None:
        _note(view, _came(view))


@special("ppoll")
def _ppoll(view: View) -> Iterator[str]:
    yield array(view, "pollfd", view.args[0], view.u32(1), view.before)
    yield str(view.u32(1))
    yield pointed(view, "timespec", view.args[2], view.before)
    yield set_at(view, 3, 4, view.before)
    yield str(view.args[4])
    if view.result is not None:
        _note(view, _came(view), _left(view, 2, "timespec"))


def _fds(view: View, at: int, memory: Memory) -> list[int] | None:
    count = min(max(view.i32(0), 0), 65536)
    size = (count + 63) // 64 * 8
    data = memory.peek(at, size) if at else b""
    if not at or not count or len(data) < size:
        return None
    bits = int.from_bytes(data, "little")
    return [fd for fd in range(min(count, len(data) * 8)) if bits >> fd & 1]


def _fd_set(view: View, i: int) -> str:
    found = _fds(view, view.args[i], view.before)
    if found is None:
        return address(view.args[i])
    return "[" + " ".join(view.fd(fd) for fd in found) + "]"


def _select(view: View, type_: str) -> Iterator[str]:
    yield str(view.i32(0))
    for i in (1, 2, 3):
        yield _fd_set(view, i)
    yield pointed(view, type_, view.args[4], view.before)
    if view.name == "pselect6":
        yield pointed(view, "sigset_pack", view.args[5], view.before)
    if view.result is None:
        return
    came = []
    for i, word in enumerate(("in", "out", "except"), 1):
        found = _fds(view, view.args[i], view.after)
        if found:
            came.append(f"{word} [{' '.join(map(str, found))}]")
    _note(view, *came, _left(view, 4, type_))


@special("select")
def _select_old(view: View) -> Iterator[str]:
    yield from _select(view, "timeval")


@special("pselect6")
def _pselect6(view: View) -> Iterator[str]:
    yield from _select(view, "timespec")


@special("epoll_wait", "epoll_pwait", "epoll_pwait2")
def _epoll_wait(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield LATE
    if view.failed:
        yield address(view.args[1])
    else:
        yield array(view, "epoll_event", view.args[1], view.result or 0, view.after)
    yield str(view.i32(2))
    if view.name == "epoll_pwait2":
        yield pointed(view, "timespec", view.args[3], view.before)
    else:
        yield str(view.i32(3))
    if view.name != "epoll_wait":
        yield set_at(view, 4, 5, view.before)
        yield str(view.args[5])


@special("epoll_ctl")
def _epoll_ctl(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield number(view, "epoll_op", view.args[1])
    yield view.fd(view.i32(2))
    if view.i32(1) == 2:
        yield address(view.args[3])
    else:
        yield pointed(view, "epoll_event", view.args[3], view.before)
