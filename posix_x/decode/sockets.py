"""Socket calls: addresses, options, messages with their control data."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, LIST_LIMIT, special
from posix_x.decode.text import address, flags, hexadecimal, named, quoted
from posix_x.decode.values import array, broken_off, number, one, overflows, shower
from posix_x.table.rows import SETS, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

ADDRESS_LIMIT = 128
SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6 = 1, 0, 6, 41
OPTIONS = {SOL_SOCKET: "so_option", IPPROTO_IP: "ip_option", IPPROTO_TCP: "tcp_option",
           IPPROTO_IPV6: "ipv6_option"}  # fmt: skip
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16


def sockaddr_text(data: bytes) -> str:
    """Return a struct sockaddr of any family."""
    if len(data) < 2:
        return quoted(data, ADDRESS_LIMIT)
    family = int.from_bytes(data[:2], "little")
    shown = f"sa_family={named('socket_family', family)}"
    if family == AF_UNIX and len(data) > 2:
        path = data[2:]
        name = path[1:].rstrip(b"\0") if path[:1] == b"\0" else path.split(b"\0")[0]
        if path[:1] == b"\0":
            name = path[1:]
        shown += f", sun_path={'@' if path[:1] == bytes(1) else ''}{quoted(name, len(name))}"
    elif family == AF_INET and len(data) >= 8:
        shown += f", sin_port=htons({int.from_bytes(data[2:4], 'big')})"
        shown += f', sin_addr=inet_addr("{socket.inet_ntoa(data[4:8])}")'
    elif family == AF_INET6 and len(data) >= 24:
        port, flow = struct.unpack_from(">HI", data, 2)
        shown += f", sin6_port=htons({port}), sin6_flowinfo=htonl({flow})"
        shown += f', inet_pton(AF_INET6, "{socket.inet_ntop(AF_INET6, data[8:24])}", &sin6_addr)'
        if len(data) >= 28:
            shown += f", sin6_scope_id={int.from_bytes(data[24:28], 'little')}"
    elif family == AF_NETLINK and len(data) >= 12:
        pad, pid, groups = struct.unpack_from("<HII", data, 2)
        shown += f", nl_pad={pad:#x}" if pad else ""
        shown += f", nl_pid={pid}, nl_groups={groups:08x}"
    elif len(data) > 2:
        shown += f", sa_data={quoted(data[2:], ADDRESS_LIMIT)}"
    return "{" + shown + "}"


def sockaddr(at: int, size: int, memory: Memory) -> str:
    """Return the address of a socket that stands somewhere."""
    data = memory.peek(at, min(size, ADDRESS_LIMIT)) if at and size > 1 else b""
    return sockaddr_text(data) if data else address(at)


@special("socket", "socketpair")
def _socket(view: View) -> Iterator[str]:
    yield number(view, "socket_family", view.args[0])
    yield number(view, "socket_type", view.args[1])
    protocols = {AF_INET: "ip_protocol", AF_INET6: "ip_protocol", AF_NETLINK: "netlink_protocol"}
    name = protocols.get(view.u32(0))
    value = view.u32(2)
    yield named(name, value) if name else str(value)
    if view.name == "socketpair":
        yield LATE
        yield (
            address(view.args[3]) if view.failed else array(view, "fd", view.args[3], 2, view.after)
        )


@special("bind", "connect")
def _bind(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield sockaddr(view.args[1], view.i32(2), view.before)
    yield str(view.i32(2))


def _length(memory: Memory, at: int) -> int | None:
    data = memory.peek(at, 4) if at else b""
    return int.from_bytes(data, "little", signed=True) if len(data) == 4 else None


def _filled(view: View, i: int, size_at: int) -> Iterator[str]:
    """Write an address that a call fills in, and its size before and after."""
    room, size = _length(view.before, size_at), _length(view.after, size_at)
    if view.failed or room is None or size is None:
        yield address(view.args[i])
        yield (
            f"[{room}]"
            if room is not None and not view.failed
            else (f"[{room}]" if room is not None else address(size_at))
        )
        return
    yield sockaddr(view.args[i], min(room, size), view.after)
    yield f"[{size}]" if room == size else f"[{room} => {size}]"


@special("accept", "accept4", "getsockname", "getpeername")
def _getsockname(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield LATE
    yield from _filled(view, 1, view.args[2])
    if view.name == "accept4":
        yield flags("accept_flags", view.u32(3))


@special("sendto")
def _sendto(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield view.data(view.args[1], view.args[2])
    yield str(view.args[2])
    yield flags("msg_flags", view.u32(3))
    yield sockaddr(view.args[4], view.i32(5), view.before)
    yield str(view.i32(5))


@special("recvfrom")
def _recvfrom(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield LATE
    size = max(view.result or 0, 0)
    yield address(view.args[1]) if view.failed else view.data(view.args[1], size, view.after)
    yield str(view.args[2])
    yield flags("msg_flags", view.u32(3))
    if view.args[4] and not view.failed:
        yield from _filled(view, 4, view.args[5])
    else:
        yield address(view.args[4])
        room = _length(view.before, view.args[5])
        yield address(view.args[5]) if room is None else f"[{room}]"


def _option(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield number(view, "socket_level", view.args[1])
    names = OPTIONS.get(view.u32(1))
    yield named(names, view.u32(2)) if names else str(view.i32(2))


def _option_value(view: View, at: int, size: int, memory: Memory) -> str:
    data = memory.peek(at, min(size, 256)) if at and size > 0 else b""
    if not data:
        return address(at)
    option = SETS["so_option"][2].get(view.u32(2)) if view.u32(1) == SOL_SOCKET else None
    if option == "SO_LINGER" and size >= 8:
        on, seconds = struct.unpack_from("<ii", data)
        return f"{{l_onoff={on}, l_linger={seconds}}}"
    if option == "SO_PEERCRED" and size >= 12:
        return "{{pid={}, uid={}, gid={}}}".format(*struct.unpack_from("<iii", data))
    if option in ("SO_RCVTIMEO", "SO_SNDTIMEO") and size >= 16:
        return one(view, "timeval", data, at, memory)
    if option == "SO_ERROR" and size >= 4:
        return f"[{_error(int.from_bytes(data[:4], 'little'))}]"
    if option == "SO_TYPE" and size >= 4:
        return f"[{named('socket_type', int.from_bytes(data[:4], 'little'))}]"
    if option == "SO_DOMAIN" and size >= 4:
        return f"[{named('socket_family', int.from_bytes(data[:4], 'little'))}]"
    if option == "SO_BINDTODEVICE" or size != 4:
        return quoted(data, view.options.string_limit)
    return f"[{int.from_bytes(data[:4], 'little', signed=True)}]"


def _error(code: int) -> str:
    import errno

    return errno.errorcode.get(code, str(code)) if code else "0"


@special("setsockopt")
def _setsockopt(view: View) -> Iterator[str]:
    yield from _option(view)
    yield _option_value(view, view.args[3], view.i32(4), view.before)
    yield str(view.i32(4))


@special("getsockopt")
def _getsockopt(view: View) -> Iterator[str]:
    yield from _option(view)
    yield LATE
    room, size = _length(view.before, view.args[4]), _length(view.after, view.args[4])
    if view.failed or room is None or size is None:
        yield address(view.args[3])
        yield address(view.args[4]) if room is None else f"[{room}]"
        return
    yield _option_value(view, view.args[3], size, view.after)
    yield f"[{size}]" if room == size else f"[{room} => {size}]"


@shower("msghdr")
def _msghdr(view: View, data: bytes, at: int, memory: Memory) -> str:
    name, size, iov, count, control, control_room, how = struct.unpack("<QixxxxQQQQixxxx", data)
    received = "recv" in view.name
    limit = view.result if received and view.result is not None else None
    room = _length(view.before, at + 8) if received else None
    arrow = f"{room} => " if room is not None and room != size else ""
    parts = [
        f"msg_name={sockaddr(name, size, memory)}",
        f"msg_namelen={arrow}{size}",
        f"msg_iov={iovecs(view, iov, count, memory, limit)}",
        f"msg_iovlen={count}",
    ]
    if control_room or control:
        shown = _control(view, control, control_room, memory) if control_room else address(control)
        parts.append(f"msg_control={shown}")
    parts.append(f"msg_controllen={control_room}")
    parts.append(f"msg_flags={flags('msg_flags', how & 0xFFFFFFFF)}")
    return "{" + ", ".join(parts) + "}"


def iovecs(view: View, at: int, count: int, memory: Memory, limit: int | None = None) -> str:
    """Return buffers; of those that were filled, only what was put there."""
    if not at:
        return "NULL"
    if count <= 0:
        return "[]"
    most = LIST_LIMIT if view.options.verbose else view.options.string_limit
    shown_count = min(count, most)
    data = memory.peek(at, 16 * shown_count) if not overflows(at, count, 16) else b""
    if len(data) < 16:
        return address(at)
    shown: list[str] = []
    for base, size in struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]):
        here = size if limit is None else min(size, limit)
        limit = None if limit is None else limit - here
        text = view.data(base, here, memory)
        shown.append(f"{{iov_base={text}, iov_len={size}}}")
    shown += broken_off(at, len(shown), count, shown_count, 16)
    return "[" + ", ".join(shown) + "]"


def _control(view: View, at: int, size: int, memory: Memory) -> str:
    data = memory.peek(at, min(size, 4096))
    shown: list[str] = []
    place = 0
    while place + 16 <= len(data):
        length, level, kind = struct.unpack_from("<Qii", data, place)
        if length < 16:
            break
        body = data[place + 16 : place + length]
        name = named("scm_type", kind) if level == SOL_SOCKET else hexadecimal(kind & 0xFFFFFFFF)
        text = f"cmsg_len={length}, cmsg_level={named('socket_level', level)}, cmsg_type={name}"
        if level == SOL_SOCKET and kind == 1:
            fds = (view.fd(fd) for (fd,) in struct.iter_unpack("<i", body[: len(body) // 4 * 4]))
            text += f", cmsg_data=[{', '.join(fds)}]"
        elif level == SOL_SOCKET and kind == 2 and len(body) >= 12:
            text += ", cmsg_data={{pid={}, uid={}, gid={}}}".format(
                *struct.unpack_from("<iII", body)
            )
        elif body:
            text += f", cmsg_data={quoted(body, view.options.string_limit)}"
        shown.append("{" + text + "}")
        place += (length + 7) & ~7
    return "[" + ", ".join(shown) + "]" if shown else address(at)


@special("sendmsg", "recvmsg")
def _sendmsg(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    memory = view.before
    if view.name == "recvmsg":
        yield LATE
        memory = view.after
    data = memory.peek(view.args[1], SIZES["msghdr"])
    if len(data) < SIZES["msghdr"]:
        yield address(view.args[1])
    elif view.failed and view.name == "recvmsg":
        size = int.from_bytes(data[8:12], "little", signed=True)
        yield f"{{msg_namelen={size}}}"
    else:
        yield _msghdr(view, data, view.args[1], memory)
    yield flags("msg_flags", view.u32(2))


@shower("mmsghdr")
def _mmsghdr(view: View, data: bytes, at: int, memory: Memory) -> str:
    size = int.from_bytes(data[56:60], "little")
    whole = view.result
    view.result = size if "recv" in view.name else whole
    try:
        shown = _msghdr(view, data[:56], at, memory)
    finally:
        view.result = whole
    if "recv" not in view.name and view.failed:
        return f"{{msg_hdr={shown}}}"
    return f"{{msg_hdr={shown}, msg_len={size}}}"


@special("sendmmsg", "recvmmsg")
def _sendmmsg(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield LATE
    count = view.u32(2) if view.failed else max(view.result or 0, 0)
    failed = view.failed and view.name == "recvmmsg"
    shown = (
        address(view.args[1]) if failed else array(view, "mmsghdr", view.args[1], count, view.after)
    )
    yield shown
    yield str(view.u32(2))
    yield flags("msg_flags", view.u32(3))
    if view.name == "recvmmsg":
        from posix_x.decode.values import pointed

        yield pointed(view, "timespec", view.args[4], view.before)


@special("shutdown")
def _shutdown(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield number(view, "shutdown_how", view.args[1])
