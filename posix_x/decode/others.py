"""Memory, time, System V IPC, ioctl, and flags that only one call has."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, argument, special
from posix_x.decode.structs import date_text, plain_date
from posix_x.decode.text import address, flags, hexadecimal, named, octal, quoted
from posix_x.decode.values import number, pointed, shower
from posix_x.table.rows import NAMES, ROWS, SETS, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

# Arguments whose type is a wider set, or a plain number, in syscalls.toml.
NARROWER = {
    ("pipe2", 1): "fd_creation_flags", 
    ("userfaultfd", 0): "fd_creation_flags", ("memfd_secret", 0): "fd_creation_flags",
    ("timerfd_create", 1): "timerfd_flags",
    ("timerfd_settime", 1): "timerfd_settime_flags", ("epoll_create1", 0): "epoll_create_flags",
    ("inotify_init1", 0): "inotify_init_flags", ("pidfd_open", 1): "pidfd_flags",
    ("sync_file_range", 3): "sync_file_range_flags", ("mbind", 5): "mpol_flags",
    ("get_mempolicy", 4): "get_mempolicy_flags", 
    ("fanotify_init", 0): "fanotify_flags", ("fanotify_mark", 1): "fanotify_mark_flags",
    ("fanotify_mark", 2): "fanotify_mask",
    ("unlinkat", 2): "at_plain", ("linkat", 4): "at_plain", ("fchownat", 4): "at_plain",
    ("newfstatat", 3): "at_plain", ("fchmodat2", 3): "at_plain",
    ("setxattrat", 2): "at_plain", ("getxattrat", 2): "at_plain", ("listxattrat", 2): "at_plain",
    ("removexattrat", 2): "at_plain", ("file_getattr", 4): "at_plain",
    ("file_setattr", 4): "at_plain", ("timer_settime", 1): "timer_abstime",
 ("fsopen", 1): "fsopen_flags",
    ("fsmount", 1): "fsmount_flags", ("fsmount", 2): "mount_attr_flags",
    ("fspick", 2): "fspick_flags", 
    ("msgsnd", 3): "msg_ipc_flags", ("msgrcv", 4): "msg_ipc_flags", ("shmat", 2): "shmat_flags",
    ("faccessat2", 3): "faccessat_flags",
}  # fmt: skip
# Numbers that strace writes in hexadecimal.
HEXADECIMAL = {
    ("mmap", 5), ("rseq", 1), ("rseq", 2), ("rseq", 3), ("sysfs", 0), ("sysfs", 1), ("sysfs", 2),
    ("ioperm", 0), ("ioperm", 1), ("io_destroy", 0), ("io_getevents", 0), ("io_pgetevents", 0),
    ("landlock_restrict_self", 1), ("set_mempolicy_home_node", 3), ("landlock_add_rule", 3), ("personality", 0), ("pidfd_send_signal", 3),
    ("pkey_alloc", 0), ("mseal", 2),
    ("process_mrelease", 1), ("pidfd_getfd", 2), ("futex_waitv", 2),
}  # fmt: skip


def narrowed(view: View) -> Iterator[str]:
    """Write arguments by the table, but those of which the lists above say more."""
    late = False
    for i, (_, kind, *_) in enumerate(ROWS[view.nr][3]):
        if kind in ("out", "inout") and not late:
            late = True
            yield LATE
        name = NARROWER.get((view.name, i))
        if name is not None:
            yield flags(name, view.args[i] if SETS[name][0] == "bits" else view.i32(i))
        elif (view.name, i) in HEXADECIMAL:
            size = SIZES[ROWS[view.nr][3][i][2]]
            yield hexadecimal(view.args[i] & (1 << 8 * size) - 1)
        else:
            yield argument(view, i)


for _name in {name for name, _ in [*NARROWER, *HEXADECIMAL]}:
    if _name in NAMES:
        special(_name)(narrowed)


@special("mremap")
def _mremap(view: View) -> Iterator[str]:
    yield address(view.args[0])
    yield str(view.args[1])
    yield str(view.args[2])
    yield flags("mremap_flags", view.args[3])
    if view.args[3] & 3 == 3 or view.args[3] & 4:
        yield address(view.args[4])


@special("mincore")
def _mincore(view: View) -> Iterator[str]:
    yield address(view.args[0])
    yield str(view.args[1])
    yield LATE
    count = (view.args[1] + 4095) // 4096
    data = view.after.peek(view.args[2], min(count, view.options.string_limit))
    if view.failed or not data:
        yield address(view.args[2])
    else:
        dots = ["..."] if count > len(data) else []
        yield "[" + ", ".join([*(str(byte & 1) for byte in data), *dots]) + "]"


@special("nanosleep", "clock_nanosleep")
def _nanosleep(view: View) -> Iterator[str]:
    first = 0
    if view.name == "clock_nanosleep":
        yield number(view, "clockid", view.args[0])
        yield flags("timer_abstime", view.u32(1))
        first = 2
    yield pointed(view, "timespec", view.args[first], view.before)
    yield LATE
    interrupted = view.result in (-4, -514, -516)
    at = view.args[first + 1]
    yield pointed(view, "timespec", at, view.after) if interrupted else address(at)


def _permissions(name: str, how: int) -> str:
    """Return IPC flags and a mode, as far as an object of that kind has them."""
    rest, parts = how & ~0o777, []
    kind = "shm_get_flags" if name == "shmget" else "ipc_get_flags"
    for bit, label in SETS[kind][2].items():
        if rest & bit == bit:
            parts.append(label)
            rest &= ~bit
    huge = rest >> 26 & 63 if name == "shmget" else 0
    rest &= ~(63 << 26) if huge else -1
    parts += [hexadecimal(rest & 0xFFFFFFFFFFFFFFFF)] if rest else []
    parts += [f"{huge}<<SHM_HUGE_SHIFT"] if huge else []
    if how & 0o777 or any(parts[i].isupper() for i in range(len(parts))) or not parts:
        parts.append(octal(how & 0o777))
    return "|".join(parts)


@special("shmget", "semget", "msgget")
def _shmget(view: View) -> Iterator[str]:
    yield number(view, "key", view.args[0])
    if view.name == "shmget":
        yield str(view.args[1])
    elif view.name == "semget":
        yield str(view.i32(1))
    how = view.i64(view_last(view)) if view.name == "msgget" else view.u32(view_last(view))
    yield _permissions(view.name, how)


def view_last(view: View) -> int:
    """Return the number of the last argument."""
    return len(ROWS[view.nr][3]) - 1


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


@shower("futex_waitv")
def _futex_waitv(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    value, at, how, rest = struct.unpack("<QQII", data)
    bits = [name for bit, name in ((2, "FUTEX_32"), (128, "FUTEX_PRIVATE_FLAG")) if how & bit]
    left = how & ~130
    shown = "|".join([*bits, *([f"{left:#x}"] if left else [])])
    shown = shown if bits or not left else f"{left:#x} /* FUTEX_??? */"
    tail = f", __reserved={rest:#x}" if rest else ""
    return f"{{val={hexadecimal(value)}, uaddr={address(at)}, flags={shown or '0'}{tail}}}"


@special("memfd_create")
def _memfd_create(view: View) -> Iterator[str]:
    yield view.string(view.args[0])
    how = view.u32(1)
    huge = how >> 26 & 63
    shown = flags("memfd_flags", how & ~(63 << 26)) if how & ~(63 << 26) or not huge else ""
    yield "|".join(part for part in (shown, f"{huge}<<MFD_HUGE_SHIFT" if huge else "") if part)


@special("time")
def _time(view: View) -> Iterator[str]:
    yield LATE
    data = view.after.peek(view.args[0], 8) if view.args[0] and not view.failed else b""
    seconds = int.from_bytes(data, "little", signed=True)
    yield f"[{seconds}{date_text(seconds, 0)}]" if len(data) == 8 else address(view.args[0])
    if view.result is not None and not view.failed:
        view.note = plain_date(view.result)


@special("setxattr", "lsetxattr", "fsetxattr")
def _setxattr(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0)) if view.name[0] == "f" else view.path(view.args[0])
    yield view.string(view.args[1])
    at, size = view.args[2], view.args[3]
    data = view.before.peek(at, min(size, view.options.string_limit)) if at else b""
    if at and data[-1:] == b"\0" and len(data) == min(size, view.options.string_limit):
        yield quoted(data[:-1], len(data))
    else:
        yield view.data(at, size)
    yield str(size)
    yield flags("xattr_flags", view.u32(4))


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


@special("getcwd")
def _getcwd(view: View) -> Iterator[str]:
    yield LATE
    size = max(view.result or 1, 1) - 1
    yield address(view.args[0]) if view.failed else view.data(view.args[0], size, view.after)
    yield str(view.args[1])


@special("membarrier")
def _membarrier(view: View) -> Iterator[str]:
    yield number(view, "membarrier_cmd", view.args[0])
    yield flags("membarrier_flags", view.u32(1))
    if view.u32(1) & 1:
        yield str(view.i32(2))


@special("sendfile")
def _sendfile(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield view.fd(view.i32(1))
    shown = pointed(view, "off", view.args[2], view.before)
    yield LATE
    later = pointed(view, "off", view.args[2], view.after)
    yield f"{shown} => {later}" if later != shown and not view.failed else shown
    yield str(view.args[3])


@special("splice", "copy_file_range")
def _splice(view: View) -> Iterator[str]:
    for i in (0, 2):
        yield view.fd(view.i32(i))
        yield pointed(view, "off", view.args[i + 1], view.before)
    yield str(view.args[4])
    how = view.u32(5)
    yield flags("splice_flags", how) if view.name == "splice" else str(how)


@special("process_vm_readv", "process_vm_writev")
def _process_vm(view: View) -> Iterator[str]:
    from posix_x.decode.files import iovecs_bare
    from posix_x.decode.sockets import iovecs

    reads = view.name == "process_vm_readv"
    yield str(view.i32(0))
    if reads:
        yield LATE
    memory = view.after if reads else view.before
    shown = iovecs(view, view.args[1], view.args[2], memory, view.result if reads else None)
    yield iovecs_bare(view, view.args[1], view.args[2]) if reads and view.failed else shown
    yield str(view.args[2])
    yield iovecs_bare(view, view.args[3], view.args[4])
    yield str(view.args[4])
    yield str(view.args[5])


@special("msgsnd", "msgrcv")
def _msgsnd(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    memory, size = view.before, view.args[2]
    if view.name == "msgrcv":
        yield LATE
        memory, size = view.after, max(view.result or 0, 0)
    kind = memory.peek(view.args[1], 8) if not view.failed or view.name == "msgsnd" else b""
    text = view.data(view.args[1] + 8, size, memory)
    known = len(kind) == 8
    yield (
        f"{{mtype={int.from_bytes(kind, 'little', signed=True)}, mtext={text}}}"
        if known
        else address(view.args[1])
    )
    yield str(view.args[2])
    if view.name == "msgrcv":
        yield str(view.i64(3))
    yield flags("msg_copy_flags", view.u32(view_last(view)))


@special("personality")
def _personality(view: View) -> Iterator[str]:
    yield personality_text(view.u32(0))


def personality_text(value: int) -> str:
    """Return a personality by name, all bits set as the question it is."""
    if value == 0xFFFFFFFF:
        return "0xffffffff"
    parts = [named("personality_type", value & 0xFF)]
    if value & ~0xFF:
        parts.append(flags("personality_flags", value & ~0xFF))
    return "|".join(parts)


@special("ioprio_set")
def _ioprio_set(view: View) -> Iterator[str]:
    yield number(view, "ioprio_which", view.args[0])
    yield str(view.i32(1))
    yield ioprio_text(view.i32(2))


def ioprio_text(value: int) -> str:
    """Return an I/O priority: class and level."""
    return f"IOPRIO_PRIO_VALUE({named('ioprio_class', value >> 13)}, {value & 0x1FFF})"


TERMIOS = ("TCGETS", "TCSETS", "TCSETSW", "TCSETSF")
INTEGERS = {"FIONREAD", "FIONBIO", "FIOASYNC", "TIOCGPGRP", "TIOCSPGRP", "TIOCGSID", "TIOCGPTN",
            "TIOCSPTLCK", "TIOCOUTQ", "SIOCOUTQ", "SIOCATMARK", "TIOCGETD", "TIOCSETD", "SIOCGPGRP",
            "SIOCSPGRP", "FIOGETOWN", "FIOSETOWN", "TIOCGEXCL", "TIOCGPTLCK"}  # fmt: skip
READS = {"FIONREAD", "TCGETS", "TIOCGWINSZ", "TIOCGPGRP", "TIOCGSID", "TIOCGPTN", "SIOCOUTQ",
         "SIOCATMARK", "TIOCGETD", "SIOCGPGRP", "FIOGETOWN", "TIOCGEXCL", "TIOCGPTLCK"}  # fmt: skip
NO_ARGUMENT = {"FIOCLEX", "FIONCLEX", "TIOCNOTTY", "TIOCEXCL", "TIOCNXCL", "TIOCSBRK", "TIOCCBRK"}


def ioctl_name(command: int) -> str:
    """Return a request's name, or its parts as _IOC takes them."""
    name = SETS["ioctl_cmd"][2].get(command)
    if name is not None:
        return str(name)
    ways = {0: "_IOC_NONE", 1: "_IOC_WRITE", 2: "_IOC_READ", 3: "_IOC_READ|_IOC_WRITE"}
    kind, code, size = command >> 8 & 0xFF, command & 0xFF, command >> 16 & 0x3FFF
    return f"_IOC({ways[command >> 30]}, {hexadecimal(kind)}, {hexadecimal(code)}, {hexadecimal(size)})"


@special("ioctl")
def _ioctl(view: View) -> Iterator[str]:
    name = ioctl_name(view.u32(1))
    yield view.fd(view.i32(0))
    yield name
    at = view.args[2]
    if name in NO_ARGUMENT:
        return
    reads = name in READS
    if reads:
        yield LATE
    memory = view.after if reads else view.before
    if reads and view.failed:
        yield address(at)
    elif name in INTEGERS:
        data = memory.peek(at, 4)
        yield f"[{int.from_bytes(data, 'little', signed=True)}]" if len(data) == 4 else address(at)
    elif name in ("TIOCGWINSZ", "TIOCSWINSZ"):
        data = memory.peek(at, 8)
        words = ("ws_row", "ws_col", "ws_xpixel", "ws_ypixel")
        pairs = zip(words, struct.unpack("<4H", data.ljust(8, b"\0")), strict=True)
        yield "{" + ", ".join(f"{k}={v}" for k, v in pairs) + "}" if len(data) == 8 else address(at)
    elif name in TERMIOS:
        from posix_x.decode.terminals import termios_text

        data = memory.peek(at, 36)
        yield termios_text(data) if len(data) == 36 else address(at)
    else:
        yield hexadecimal(at) if at else "NULL" if view.u32(1) >> 30 else "0"


@special("adjtimex", "clock_adjtime")
def _adjtimex(view: View) -> Iterator[str]:
    if view.name == "clock_adjtime":
        yield number(view, "clockid", view.args[0])
    yield LATE
    at = view.args[view_last(view)]
    data = view.after.peek(at, 208)
    if len(data) < 208 or view.failed:
        yield address(at)
        return
    (
        modes,
        offset,
        freq,
        most,
        estimated,
        status,
        constant,
        precision,
        tolerance,
        sec,
        usec,
        tick,
    ) = struct.unpack_from("<Ixxxx4qixxxx6q", data)
    rest = struct.unpack_from("<2qixxxx5qi", data, 96)
    names = ("ppsfreq", "jitter", "shift", "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt", "tai")
    shown = [
        f"modes={flags('adjtimex_modes', modes)}", f"offset={offset}", f"freq={freq}",
        f"maxerror={most}", f"esterror={estimated}", f"status={flags('adjtimex_status', status)}",
        f"constant={constant}", f"precision={precision}", f"tolerance={tolerance}",
        f"time={{tv_sec={sec}, tv_usec={usec}}}", f"tick={tick}",
    ]  # fmt: skip
    shown += [f"{name}={value}" for name, value in zip(names, rest, strict=False)]
    yield "{" + ", ".join(shown) + "}"
    if view.result is not None and not view.failed:
        view.note = SETS["clock_state"][2].get(view.result, "")
