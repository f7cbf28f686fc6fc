"""Memory, time, System V IPC, ioctl, and flags that only one call has."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, argument, special
from posix_x.decode.text import address, flags, hexadecimal, named, octal, quoted
from posix_x.decode.values import number, pointed, shower
from posix_x.table.rows import NAMES, ROWS, SETS, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

# Arguments whose type is a wider set, or a plain number, in syscalls.toml.
NARROWER = {
    ("pipe2", 1): "fd_creation_flags", ("userfaultfd", 0): "fd_creation_flags",
    ("memfd_secret", 0): "fd_creation_flags", ("timerfd_create", 1): "timerfd_flags",
    ("timerfd_settime", 1): "timerfd_settime_flags", ("epoll_create1", 0): "epoll_create_flags",
    ("inotify_init1", 0): "inotify_init_flags", ("pidfd_open", 1): "pidfd_flags",
    ("sync_file_range", 3): "sync_file_range_flags", ("mbind", 5): "mpol_flags",
    ("get_mempolicy", 4): "get_mempolicy_flags", ("fanotify_init", 0): "fanotify_flags",
    ("fanotify_mark", 1): "fanotify_mark_flags", ("fanotify_mark", 2): "fanotify_mask",
    ("unlinkat", 2): "at_plain", ("linkat", 4): "at_plain", ("fchownat", 4): "at_plain",
    ("newfstatat", 3): "at_plain", ("fchmodat2", 3): "at_plain", ("setxattrat", 2): "at_plain",
    ("getxattrat", 2): "at_plain", ("listxattrat", 2): "at_plain",
    ("removexattrat", 2): "at_plain", ("file_getattr", 4): "at_plain",
    ("file_setattr", 4): "at_plain", ("timer_settime", 1): "timer_abstime",
    ("fsopen", 1): "fsopen_flags", ("fsmount", 1): "fsmount_flags",
    ("fsmount", 2): "mount_attr_flags", ("fspick", 2): "fspick_flags",
    ("msgsnd", 3): "msg_ipc_flags", ("msgrcv", 4): "msg_ipc_flags", ("shmat", 2): "shmat_flags",
    ("faccessat2", 3): "faccessat_flags",
}  # fmt: skip
# Numbers that strace writes in hexadecimal.
HEXADECIMAL = {
    ("mmap", 5), ("rseq", 1), ("rseq", 2), ("rseq", 3), ("sysfs", 0), ("sysfs", 1), ("sysfs", 2),
    ("ioperm", 0), ("ioperm", 1), ("io_destroy", 0), ("io_getevents", 0), ("io_pgetevents", 0),
    ("landlock_restrict_self", 1), ("set_mempolicy_home_node", 3),
    ("personality", 0), ("pidfd_send_signal", 3), ("pkey_alloc", 0), ("mseal", 2),
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
