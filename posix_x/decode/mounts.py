"""The mount calls, old and new, and file handles."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, flags, named, quoted_hex, signed
from posix_x.decode.values import number
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

MAGIC, MAGIC_MASK = 0xC0ED0000, 0xFFFF0000
REMOUNT, BIND, MOVE, PROPAGATION = 0x20, 0x1000, 0x2000, 0x1E0000
HANDLE_LIMIT = 128
PROPAGATIONS = {0x20000: "MS_UNBINDABLE", 0x40000: "MS_PRIVATE", 0x80000: "MS_SLAVE",
                0x100000: "MS_SHARED"}  # fmt: skip


@special("mount")
def _mount(view: View) -> Iterator[str]:
    how = view.args[3]
    old = how & MAGIC_MASK == MAGIC
    bits = how & ~MAGIC_MASK if old else how
    no_type = bool(bits & (REMOUNT | BIND | MOVE | PROPAGATION))
    no_data = no_type and not bits & REMOUNT
    yield view.path(view.args[0])
    yield view.path(view.args[1])
    yield address(view.args[2]) if no_type else view.string(view.args[2])
    rest = flags("mount_flags", bits)
    yield ("MS_MGC_VAL|" + rest if bits else "MS_MGC_VAL") if old else rest
    yield address(view.args[4]) if no_data else view.string(view.args[4])


@special("open_tree")
def _open_tree(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    yield _tree_flags(view.u32(2))


def _tree_flags(how: int) -> str:
    names = [(0x1, "OPEN_TREE_CLONE"), (0x80000, "OPEN_TREE_CLOEXEC"),
             *((bit, name) for bit, name in SETS["at_plain"][2].items()
               if name != "AT_REMOVEDIR")]  # fmt: skip
    shown = [name for bit, name in names if how & bit]
    rest = how & ~sum(bit for bit, _ in names)
    if not shown:
        return f"{rest:#x} /* OPEN_TREE_??? */" if rest else "0"
    return "|".join([*shown, *([f"{rest:#x}"] if rest else [])])


def _zeroes(data: bytes, limit: int, start: int, end: int) -> str:
    """Return bytes that a struct should not have; none where all are zero."""
    if not any(data):
        return ""
    return f", /* bytes {start}..{end - 1} */ {quoted_hex(data, limit)}"


@special("mount_setattr", "open_tree_attr")
def _mount_setattr(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    yield _tree_flags(view.u32(2)) if view.name[0] == "o" else flags("at_plain", view.u32(2))
    size = view.args[4]
    data = view.before.peek(view.args[3], min(size, 4096)) if size >= 32 else b""
    if len(data) < 32:
        yield address(view.args[3])
    else:
        sets, clears, spread, fd = struct.unpack_from("<4Q", data)
        spreads = PROPAGATIONS.get(spread) or (f"{spread:#x}" if spread else "0") + " /* MS_??? */"
        rest = _zeroes(data[32:], view.options.string_limit, 32, min(size, 4096))
        yield (
            f"{{attr_set={flags('mount_attr_flags', sets)}, "
            f"attr_clr={flags('mount_attr_flags', clears)}, propagation={spreads}, "
            f"userns_fd={view.fd(fd)}{rest}}}"
        )
    yield str(size)


@special("fsconfig")
def _fsconfig(view: View) -> Iterator[str]:
    command = view.u32(1)
    name = SETS["fsconfig_cmd"][2].get(command, "")
    yield view.fd(view.i32(0))
    yield named("fsconfig_cmd", command)
    yield address(view.args[2]) if name.startswith("FSCONFIG_CMD_") else view.string(view.args[2])
    value = view.args[3]
    if name == "FSCONFIG_SET_STRING":
        yield view.string(value)
    elif name == "FSCONFIG_SET_BINARY":
        size = view.i32(4)
        data = view.before.peek(value, min(size, view.options.string_limit)) if size > 0 else b""
        yield (
            quoted_hex(data, len(data)) + ("..." if size > len(data) else "")
            if data
            else address(value)
        )
    elif name in ("FSCONFIG_SET_PATH", "FSCONFIG_SET_PATH_EMPTY"):
        yield view.path(value)
    else:
        yield address(value)
    if name in ("FSCONFIG_SET_PATH", "FSCONFIG_SET_PATH_EMPTY"):
        yield number(view, "dirfd", view.args[4])
    elif name == "FSCONFIG_SET_FD":
        yield view.fd(view.i32(4))
    else:
        yield str(view.i32(4))


def _handle(at: int, memory: Memory) -> str | None:
    """Return a struct file_handle; None: it cannot be read."""
    head = memory.peek(at, 8) if at else b""
    if len(head) < 8:
        return None
    size, kind = struct.unpack("<Ii", head)
    data = memory.peek(at + 8, size) if size <= HANDLE_LIMIT else b""
    text = quoted_hex(data, HANDLE_LIMIT) if len(data) == size else "???"
    return f"{{handle_bytes={size}, handle_type={kind}, f_handle={text}}}"


@special("name_to_handle_at")
def _name_to_handle_at(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    head = view.before.peek(view.args[2], 4) if view.args[2] else b""
    room = int.from_bytes(head, "little")
    yield LATE
    if len(head) < 4:
        yield address(view.args[2])
    elif view.failed:
        got = view.after.peek(view.args[2], 4)
        size = int.from_bytes(got, "little") if len(got) == 4 else room
        arrow = f" => {size}" if view.result == -75 and size != room else ""
        yield f"{{handle_bytes={room}{arrow}}}"
    else:
        shown = _handle(view.args[2], view.after) or address(view.args[2])
        size = int.from_bytes(view.after.peek(view.args[2], 4), "little")
        yield (
            shown.replace("handle_bytes=", f"handle_bytes={room} => ", 1) if size != room else shown
        )
    data = view.after.peek(view.args[3], 4) if view.args[3] and not view.failed else b""
    identifier = int.from_bytes(data, "little", signed=True)
    yield f"[{identifier}]" if len(data) == 4 else address(view.args[3])
    yield flags("name_to_handle_flags", view.u32(4))


@special("open_by_handle_at")
def _open_by_handle_at(view: View) -> Iterator[str]:
    from posix_x.decode.files import open_text

    yield view.fd(signed(view.args[0], 4))
    yield _handle(view.args[1], view.before) or address(view.args[1])
    yield open_text(view.u32(2))
