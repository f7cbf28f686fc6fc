"""Structs that strace writes in a way of its own: files, limits, times, events."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.text import flags, hexadecimal, named, octal, quoted
from posix_x.decode.values import fields, shower, signal_name

if TYPE_CHECKING:
    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

KINDS = {
    0o14: "S_IFSOCK", 0o12: "S_IFLNK", 0o10: "S_IFREG", 0o6: "S_IFBLK", 0o4: "S_IFDIR",
    0o2: "S_IFCHR", 0o1: "S_IFIFO",
}  # fmt: skip
BITS = {0o4000: "S_ISUID", 0o2000: "S_ISGID", 0o1000: "S_ISVTX"}
ENDLESS = (1 << 64) - 1


def mode_text(mode: int) -> str:
    """Return a file's mode: its kind and its permissions."""
    kind = KINDS.get(mode >> 12 & 0xF)
    if kind is None:
        return octal(mode)
    parts = [kind, *(name for bit, name in BITS.items() if mode & bit), octal(mode & 0o777)]
    return "|".join(parts)


def device_text(device: int) -> str:
    """Return a device's number as makedev(3) takes it."""
    major = (device >> 8 & 0xFFF) | (device >> 32 & 0xFFFFF000)
    minor = (device & 0xFF) | (device >> 12 & 0xFFFFFF00)
    return f"makedev({hexadecimal(major)}, {hexadecimal(minor)})"


@shower("stat")
def _stat(view: View, data: bytes, _at: int, _memory: Memory) -> str:
    device, inode, links, mode, uid, gid, _, rdev, size, block, blocks = struct.unpack_from(
        "<QQQIIIIQqqq", data
    )
    is_device = mode >> 12 in (2, 6)
    content = f"st_rdev={device_text(rdev)}" if is_device else f"st_size={size}"
    if not view.options.verbose:
        return f"{{st_mode={mode_text(mode)}, {content}, ...}}"
    times = struct.unpack_from("<qqqqqq", data, 72)
    shown = [
        f"st_dev={device_text(device)}", f"st_ino={inode}", f"st_mode={mode_text(mode)}",
        f"st_nlink={links}", f"st_uid={uid}", f"st_gid={gid}", f"st_blksize={block}",
        f"st_blocks={blocks}", content,
    ]  # fmt: skip
    for name, seconds, nano in zip("amc", times[::2], times[1::2], strict=True):
        shown += [
            f"st_{name}time={seconds}{date_text(seconds, nano)}",
            f"st_{name}time_nsec={nano}",
        ]
    return "{" + ", ".join(shown) + "}"


def date_text(seconds: int, part: int, digits: int = 9) -> str:
    """Return a point in time as the comment that strace puts behind it; nothing for the epoch.

    part: of the second, of so many digits.
    """
    shown = plain_date(seconds, part, digits) if seconds or part else ""
    return f" /* {shown} */" if shown else ""


def plain_date(seconds: int, part: int = 0, digits: int = 9) -> str:
    """Return a point in time; nothing where no calendar has it."""
    import time

    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):
        return ""
    rest = f".{part:0{digits}}" if part else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}{rest}{time.strftime('%z', local)}"


@shower("statx")
def _statx(view: View, data: bytes, _at: int, _memory: Memory) -> str:
    mask, block, attributes, links, uid, gid, mode, _, inode, size, blocks = struct.unpack_from(
        "<IIQIIIHHQQQ", data
    )
    shown = [f"stx_mask={statx_mask(mask)}"]
    if view.options.verbose:
        shown.append(f"stx_blksize={block}")
    shown.append(f"stx_attributes={flags('statx_attributes', attributes)}")
    if view.options.verbose:
        shown += [f"stx_nlink={links}", f"stx_uid={uid}", f"stx_gid={gid}"]
    shown.append(f"stx_mode={mode_text(mode)}")
    if view.options.verbose:
        shown.append(f"stx_ino={inode}")
    shown.append(f"stx_size={size}")
    if view.options.verbose:
        shown.append(f"stx_blocks={blocks}")
    return "{" + ", ".join(shown) + ", ...}"


def statx_mask(mask: int) -> str:
    """Return what statx(2) was asked for, or has given."""
    if mask & 0xFFF == 0xFFF:
        rest = flags("statx_mask", mask & ~0xFFF) if mask & ~0xFFF else ""
        return "STATX_ALL" + ("|" + rest if rest else "")
    return flags("statx_mask", mask)


@shower("statfs")
def _statfs(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    numbers = struct.unpack_from("<7q2I3q", data)
    names = ("f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree")
    shown = [f"f_type={named('fs_magic', numbers[0] & 0xFFFFFFFF)}", f"f_bsize={numbers[1]}"]
    shown += [f"{name}={value}" for name, value in zip(names, numbers[2:7], strict=True)]
    shown.append(f"f_fsid={{val=[{hexadecimal(numbers[7])}, {hexadecimal(numbers[8])}]}}")
    mount = numbers[11]
    valid = ["ST_VALID"] if mount & 0x20 else []
    rest = flags("statfs_flags", mount & ~0x20) if mount & ~0x20 else ""
    text = "|".join([*valid, *([rest] if rest else [])]) or "0"
    shown += [f"f_namelen={numbers[9]}", f"f_frsize={numbers[10]}", f"f_flags={text}"]
    return "{" + ", ".join(shown) + "}"


def _limit(value: int, word: str) -> str:
    if value == ENDLESS:
        return word
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


@shower("rlimit")
def _rlimit(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    soft, hard = (_limit(value, "RLIM64_INFINITY") for value in struct.unpack("<QQ", data[:16]))
    return f"{{rlim_cur={soft}, rlim_max={hard}}}"


@shower("rlimit64")
def _rlimit64(view: View, data: bytes, at: int, memory: Memory) -> str:
    return _rlimit(view, data, at, memory)


@shower("rusage")
def _rusage(view: View, data: bytes, at: int, memory: Memory) -> str:
    shown = fields(view, "rusage", data, at, memory)
    if not view.options.verbose:
        shown = [*shown[:2], "..."]
    return "{" + ", ".join(shown) + "}"


@shower("utsname")
def _utsname(view: View, data: bytes, at: int, memory: Memory) -> str:
    shown = fields(view, "utsname", data, at, memory)
    return "{" + ", ".join(shown if view.options.verbose else [*shown[:2], "..."]) + "}"


@shower("pollfd")
def _pollfd(view: View, data: bytes, _at: int, _memory: Memory) -> str:
    fd, events, _ = struct.unpack("<ihh", data)
    if fd < 0:
        return f"{{fd={fd}}}"
    return f"{{fd={view.fd(fd)}, events={flags('poll_events', events & 0xFFFF)}}}"


@shower("epoll_event")
def _epoll_event(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    events, word = struct.unpack("<IQ", data)
    shown = f"{{u32={word & 0xFFFFFFFF}, u64={word}}}"
    return f"{{events={flags('epoll_events', events)}, data={shown}}}"


@shower("sigevent")
def _sigevent(view: View, data: bytes, _at: int, _memory: Memory) -> str:
    value, number, how, tid = struct.unpack_from("<QIII", data)
    sival = value & 0xFFFFFFFF
    sival -= (sival & 0x80000000) << 1
    pointer = hexadecimal(value) if value else "NULL"
    shown = "{"
    if view.name != "mq_notify" or how != 1:
        shown += f"sigev_value={{sival_int={sival}, sival_ptr={pointer}}}, "
    shown += f"sigev_signo={signal_name(number) if how in (0, 4) else number}"
    shown += f", sigev_notify={named('sigev_notify', how)}"
    if how == 4:
        shown += f", sigev_notify_thread_id={tid}"
    return shown + "}"


@shower("cap_user_header")
def _capability(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    version, pid = struct.unpack("<Ii", data)
    return f"{{version={named('cap_version', version)}, pid={pid}}}"


@shower("sembuf")
def _sembuf(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    number, operation, how = struct.unpack("<Hhh", data)
    shown = flags("sem_flags", how & 0xFFFF)
    return f"{{sem_num={number}, sem_op={operation}, sem_flg={shown}}}"


@shower("mq_attr")
def _mq_attr(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    how, most, size, now = struct.unpack_from("<4q", data)
    shown = flags("mq_flags", how) if how in (0, 0x800) else hexadecimal(how & ENDLESS)
    return f"{{mq_flags={shown}, mq_maxmsg={most}, mq_msgsize={size}, mq_curmsgs={now}}}"


@shower("sched_param")
def _sched_param(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    return f"[{int.from_bytes(data[:4], 'little', signed=True)}]"


@shower("iovec")
def _iovec(view: View, data: bytes, _at: int, memory: Memory) -> str:
    base, size = struct.unpack("<QQ", data)
    return f"{{iov_base={view.data(base, size, memory)}, iov_len={size}}}"


@shower("timespec")
def _timespec(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    seconds, nano = struct.unpack("<qQ", data)
    return f"{{tv_sec={seconds}, tv_nsec={nano}}}"


def name_text(data: bytes) -> str:
    """Return a name that fills its room or ends with NUL, in quotes."""
    return quoted(data.split(bytes(1))[0], len(data))


@shower("timeval")
def _timeval(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    seconds, micro = struct.unpack("<qQ", data)
    return f"{{tv_sec={seconds}, tv_usec={micro}}}"


@shower("utimbuf")
def _utimbuf(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    actime, modtime = struct.unpack("<qq", data)
    return f"{{actime={actime}{date_text(actime, 0)}, modtime={modtime}{date_text(modtime, 0)}}}"
