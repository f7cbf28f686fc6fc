"""Calls on files whose arguments depend on others: open, fcntl, vectors, directories, times."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, LIST_LIMIT, argument, special
from posix_x.decode.sockets import iovecs
from posix_x.decode.structs import device_text, mode_text, statx_mask
from posix_x.decode.text import address, flags, hexadecimal, named, octal, quoted_hex
from posix_x.decode.values import broken_off, number, overflows, pointed
from posix_x.decode.view import RESULTS, View
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

O_CREAT, O_TMPFILE, O_LARGEFILE, O_ACCMODE = 0x40, 0x410000, 0x8000, 3
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


_OPEN_ORDER = (
    ("O_CREAT", 0x40), ("O_EXCL", 0x80), ("O_NOCTTY", 0x100), ("O_TRUNC", 0x200),
    ("O_APPEND", 0x400), ("O_NONBLOCK", 0x800), ("O_SYNC", 0x101000), ("O_DSYNC", 0x1000),
    ("O_DIRECT", 0x4000), ("O_LARGEFILE", O_LARGEFILE), ("O_NOFOLLOW", 0x20000),
    ("O_NOATIME", 0x40000), ("O_CLOEXEC", 0x80000), ("O_PATH", 0x200000),
    ("O_TMPFILE", O_TMPFILE), ("O_DIRECTORY", 0x10000), ("FASYNC", 0x2000),
)  # fmt: skip


def open_text(how: int) -> str:
    """Return open(2)'s flags, in strace's order; fcntl(2) tells of the host's O_LARGEFILE too."""
    shown = [("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[how & O_ACCMODE]]
    how &= ~O_ACCMODE
    for name, bits in _OPEN_ORDER:
        if how & bits == bits:
            shown.append(name)
            how &= ~bits
    return "|".join([*shown, *([f"{how:#x}"] if how else [])])


@special("open", "openat", "mq_open")
def _open(view: View) -> Iterator[str]:
    first = 0
    if view.name == "openat":
        yield number(view, "dirfd", view.args[0])
        first = 1
    yield view.path(view.args[first])
    how = view.u32(first + 1)
    yield open_text(how)
    if how & O_CREAT or how & O_TMPFILE == O_TMPFILE:
        yield octal(view.u32(first + 2) & 0xFFFF)
        if view.name == "mq_open":
            yield pointed(view, "mq_attr", view.args[3], view.before)


@special("openat2")
def _openat2(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    size = view.args[3]
    data = view.before.peek(view.args[2], min(size, 24)) if size >= 24 else b""
    if len(data) == 24:
        how, mode, resolve = struct.unpack("<QQQ", data)
        shown = f"{{flags={open_text(how)}"
        if how & O_CREAT or how & O_TMPFILE == O_TMPFILE or mode:
            shown += f", mode={octal(mode)}"
        yield f"{shown}, resolve={flags('resolve_flags', resolve)}}}"
    else:
        yield address(view.args[2])
    yield str(size)


def _file_mode(view: View, i: int) -> Iterator[str]:
    mode = view.u32(i) & 0xFFFF
    yield mode_text(mode)
    if mode >> 12 in (2, 6):
        yield device_text(view.u32(i + 1))


@special("mknod")
def _mknod(view: View) -> Iterator[str]:
    yield view.path(view.args[0])
    yield from _file_mode(view, 1)


@special("mknodat")
def _mknodat(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    yield from _file_mode(view, 2)


@special("symlink", "symlinkat")
def _symlink(view: View) -> Iterator[str]:
    yield view.path(view.args[0])
    if view.name == "symlinkat":
        yield number(view, "dirfd", view.args[1])
    yield view.path(view.args[2 if view.name == "symlinkat" else 1])


@special("dup2", "dup3")
def _dup2(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield str(view.i32(1))
    if view.name == "dup3":
        yield flags("fd_creation_flags", view.u32(2))


LOCKS = {5, 6, 7, 36, 37, 38}
GETS_LOCK = {5, 36}


def _flock(view: View, data: bytes) -> str:
    kind, whence, start, length, pid = struct.unpack_from("<hhxxxxqqi", data)
    kinds = SETS["lock_type"][2]
    shown = f"{{l_type={kinds.get(kind, hexadecimal(kind & 0xFFFF))}, "
    shown += f"l_whence={SETS['seek_whence'][2].get(whence, hexadecimal(whence & 0xFFFF))}, "
    shown += f"l_start={start}, l_len={length}"
    if view.i32(1) in GETS_LOCK and view.result is not None:
        shown += f", l_pid={pid}"
    return shown + "}"


def _fcntl_arg(view: View) -> Iterator[str]:  # noqa: C901 - one branch for each kind
    command, value = view.i32(1), view.args[2]
    name = SETS["fcntl_cmd"][2].get(command, "")
    if name in (
        "F_GETFD",
        "F_GETFL",
        "F_GETOWN",
        "F_GETSIG",
        "F_GETLEASE",
        "F_GETPIPE_SZ",
        "F_GET_SEALS",
    ):
        return
    if command in LOCKS:
        if command in GETS_LOCK:
            yield LATE
        data = (view.after if command in GETS_LOCK else view.before).peek(value, 32)
        yield (
            _flock(view, data)
            if len(data) == 32 and not (command in GETS_LOCK and view.failed)
            else address(value)
        )
    elif name == "F_SETFD":
        yield flags("fd_flags", value)
    elif name == "F_SETFL":
        yield open_text(value & 0xFFFFFFFF)
    elif name == "F_ADD_SEALS":
        yield flags("seals", value)
    elif name == "F_SETSIG":
        yield number(view, "sig", value)
    elif name in ("F_SETOWN_EX", "F_GETOWN_EX"):
        if name == "F_GETOWN_EX":
            yield LATE
        data = (view.after if name == "F_GETOWN_EX" else view.before).peek(value, 8)
        if len(data) == 8 and not view.failed:
            kind, pid = struct.unpack("<ii", data)
            kinds = {0: "F_OWNER_TID", 1: "F_OWNER_PID", 2: "F_OWNER_PGRP"}
            yield f"{{type={kinds.get(kind, hexadecimal(kind & 0xFFFFFFFF))}, pid={pid}}}"
        else:
            yield address(value)
    elif name == "F_SETLEASE":
        yield named("lease_type", view.i32(2))
    elif name == "F_NOTIFY":
        yield flags("dirnotify", value & 0xFFFFFFFF)
    elif name in ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETPIPE_SZ"):
        yield str(view.u32(2) if name.startswith("F_DUPFD") else view.i64(2))
    elif name == "F_SETOWN":
        yield str(view.i32(2))
    else:
        yield hexadecimal(value)


@special("fcntl")
def _fcntl(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield number(view, "fcntl_cmd", view.args[1])
    yield from _fcntl_arg(view)


def fcntl_result(view: View) -> str | None:
    """Return a result that is flags; None for others."""
    assert view.result is not None
    name = SETS["fcntl_cmd"][2].get(view.i32(1), "")
    if view.failed or name not in ("F_GETFD", "F_GETFL", "F_GET_SEALS", "F_GETSIG", "F_GETLEASE"):
        return (
            view.fd(view.result, True) if name.startswith("F_DUPFD") and not view.failed else None
        )
    if name == "F_GETSIG":
        return number(view, "sig", view.result) if view.result else "0"
    if name == "F_GETLEASE":
        return (
            f"{view.result:#x} ({SETS['lock_type'][2].get(view.result)})"
            if view.result
            else "0 (F_RDLCK)"
        )
    if name == "F_GETFD":
        return f"{view.result:#x} (flags {flags('fd_flags', view.result)})" if view.result else "0"
    text = open_text(view.result) if name == "F_GETFL" else flags("seals", view.result)
    word = "flags" if name == "F_GETFL" else "seals"
    return f"{hexadecimal(view.result)} ({word} {text})" if view.result or word == "flags" else "0"


RESULTS["fcntl"] = fcntl_result


@special(
    "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2", "vmsplice", "process_madvise"
)
def _vectors(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    reads = "read" in view.name
    if reads:
        yield LATE
    memory = view.after if reads else view.before
    limit = view.result if reads and view.result is not None else None
    count = view.args[2]
    if (reads and view.failed) or view.name == "process_madvise":
        yield iovecs_bare(view, view.args[1], count)
    else:
        yield iovecs(view, view.args[1], count, memory, limit)
    yield str(count)
    if view.name.startswith("p") and view.name != "process_madvise":
        yield str(view.i64(3))
    if view.name.endswith("2"):
        yield flags("rwf_flags", view.u32(5))
    elif view.name == "vmsplice":
        yield flags("splice_flags", view.u32(3))
    elif view.name == "process_madvise":
        yield number(view, "madvise_advice", view.args[3])
        yield hexadecimal(view.u32(4))


def iovecs_bare(view: View, at: int, count: int) -> str:
    """Return buffers that nothing was put into: where they are."""
    limit = LIST_LIMIT if view.options.verbose else view.options.string_limit
    if overflows(at, count, 16):
        return address(at)
    if at and count <= 0:
        return "[]"
    data = view.before.peek(at, 16 * min(count, limit)) if at else b""
    if len(data) < 16:
        return address(at) if count or not at else "[]"
    pairs = struct.iter_unpack("<QQ", data[: len(data) // 16 * 16])
    shown = [f"{{iov_base={address(b)}, iov_len={s}}}" for b, s in pairs]
    shown += broken_off(at, len(shown), count, min(count, limit), 16)
    return "[" + ", ".join(shown) + "]"


@special("getdents", "getdents64")
def _getdents(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield LATE
    shown = address(view.args[1])
    if not view.failed:
        data = view.after.peek(view.args[1], max(view.result or 0, 0))
        count = place = 0
        while place + 18 <= len(data):
            place += int.from_bytes(data[place + 16 : place + 18], "little") or len(data)
            count += 1
        if len(data) == (view.result or 0):
            shown += f" /* {count} entries */"
    yield shown
    yield str(view.u32(2))


@special("getrandom")
def _getrandom(view: View) -> Iterator[str]:
    yield LATE
    size = max(view.result or 0, 0)
    data = view.after.peek(view.args[0], min(size, view.options.string_limit))
    dots = "..." if size > view.options.string_limit else ""
    yield address(view.args[0]) if view.failed else quoted_hex(data, 1 << 30) + dots
    yield str(view.args[1])
    yield flags("getrandom_flags", view.u32(2))


@special("utimensat", "utimes", "futimesat")
def _utimensat(view: View) -> Iterator[str]:
    first = 0 if view.name == "utimes" else 1
    if first:
        yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[first])
    data = view.before.peek(view.args[first + 1], 32) if view.args[first + 1] else b""
    if len(data) == 32:
        pairs = list(struct.iter_unpack("<qq", data))
        yield "[" + ", ".join(_time(view, *pair) for pair in pairs) + "]"
    else:
        yield address(view.args[first + 1])
    if view.name == "utimensat":
        yield flags("at_plain", view.u32(3))


def _time(view: View, seconds: int, part: int) -> str:
    from posix_x.decode.structs import date_text

    if view.name != "utimensat":
        date = date_text(seconds, part, 6) if 0 <= part < 1_000_000 else ""
        return f"{{tv_sec={seconds}, tv_usec={part & 0xFFFFFFFFFFFFFFFF}}}{date}"
    if part in (UTIME_NOW, UTIME_OMIT):
        return "UTIME_NOW" if part == UTIME_NOW else "UTIME_OMIT"
    date = date_text(seconds, part) if 0 <= part < 1_000_000_000 else ""
    return f"{{tv_sec={seconds}, tv_nsec={part & 0xFFFFFFFFFFFFFFFF}}}{date}"


@special("statx")
def _statx(view: View) -> Iterator[str]:
    yield number(view, "dirfd", view.args[0])
    yield view.path(view.args[1])
    how = view.u32(2)
    rest = flags("at_plain", how & ~0x6000).split(" /*")[0] if how & ~0x6000 else ""
    sync = {0: "AT_STATX_SYNC_AS_STAT", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
    yield "|".join(part for part in (sync.get(how & 0x6000, "0x6000"), rest) if part)
    yield statx_mask(view.u32(3))
    yield LATE
    yield argument(view, 4)
