"""Calls that no kernel of today has any more, or only for old programs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.files import open_text
from posix_x.decode.line import LATE, special
from posix_x.decode.structs import device_text
from posix_x.decode.text import address, hexadecimal
from posix_x.decode.values import pointed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

COUNTS = {"create_module": 2, "query_module": 5, "nfsservctl": 3, "getpmsg": 5, "putpmsg": 5,
          "afs_syscall": 5, "tuxcall": 3, "security": 3, "epoll_ctl_old": 4, "epoll_wait_old": 4,
          "vserver": 5, "get_kernel_syms": 1, "uretprobe": 0, "uprobe": 0}  # fmt: skip


@special(*COUNTS)
def _by_numbers(view: View) -> Iterator[str]:
    yield from (hexadecimal(view.args[i]) for i in range(COUNTS[view.name]))


@special("_sysctl")
def _sysctl(view: View) -> Iterator[str]:
    data = view.before.peek(view.args[0], 48) if view.args[0] else b""
    if len(data) < 48:
        yield address(view.args[0])
        return
    name, count, old, old_size, new, size = struct.unpack("<QixxxxQQQQ", data)
    path = view.before.peek(name, 4 * min(max(count, 0), view.options.string_limit))
    words = [str(word) for (word,) in struct.iter_unpack("<i", path[: len(path) // 4 * 4])]
    shown = "[" + ", ".join(words) + "]" if words else address(name)
    yield (
        f"{{name={shown}, nlen={count}, oldval={address(old)}, oldlenp={address(old_size)}, "
        f"newval={address(new)}, newlen={size}}}"
    )


@special("ustat")
def _ustat(view: View) -> Iterator[str]:
    yield device_text(view.u32(0))
    yield LATE
    yield address(view.args[1]) if view.failed else pointed(view, "ustat", view.args[1], view.after)


@special("iopl")
def _iopl(view: View) -> Iterator[str]:
    yield str(view.i32(0))


@special("init_module")
def _init_module(view: View) -> Iterator[str]:
    yield address(view.args[0])
    yield str(view.args[1])
    yield view.string(view.args[2])


@special("delete_module")
def _delete_module(view: View) -> Iterator[str]:
    yield view.string(view.args[0])
    how = view.u32(1)
    shown = open_text(how).removeprefix("O_RDONLY").removeprefix("|")
    plain = shown.startswith("0x") and "|" not in shown
    yield f"{shown} /* O_??? */" if plain else shown or "0"


@special("set_thread_area", "get_thread_area")
def _thread_area(view: View) -> Iterator[str]:
    gets = view.name == "get_thread_area"
    if gets:
        yield LATE
    data = view.before.peek(view.args[0], 16) if view.args[0] else b""
    if len(data) < 16:
        yield address(view.args[0])
        return
    entry, base, limit, bits = struct.unpack("<iIII", data)
    if gets and view.failed:
        yield f"{{entry_number={entry & 0xFFFFFFFF if entry != -1 else -1}, ...}}"
        return
    names = (("seg_32bit", 0, 1), ("contents", 1, 3), ("read_exec_only", 3, 1),
             ("limit_in_pages", 4, 1), ("seg_not_present", 5, 1), ("useable", 6, 1),
             ("lm", 7, 1))  # fmt: skip
    shown = ", ".join(f"{name}={bits >> shift & mask}" for name, shift, mask in names)
    start = f"{base:#08x}" if base else "00000000"
    end = f"{limit:#08x}" if limit else "00000000"
    yield f"{{entry_number={entry}, base_addr={start}, limit={end}, {shown}}}"
