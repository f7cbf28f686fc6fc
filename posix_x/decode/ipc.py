"""What System V's IPC tells of an object, and takes: shmctl(2), msgctl(2), semctl(2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, hexadecimal, named, octal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

IPC_SET, IPC_STAT, IPC_INFO, SHM_INFO, IPC_64 = 1, 2, 3, 14, 0x100
PERM_SIZE = 48
Fields = tuple[tuple[str, str, int], ...]
SHM = (
    ("segsz", "Q", 48), ("cpid", "i", 80), ("lpid", "i", 84), ("nattch", "Q", 88),
    ("atime", "q", 56), ("dtime", "q", 64), ("ctime", "q", 72),
)  # fmt: skip
MSG = (
    ("stime", "q", 48), ("rtime", "q", 56), ("ctime", "q", 64), ("qnum", "Q", 80),
    ("qbytes", "Q", 88), ("lspid", "i", 96), ("lrpid", "i", 100),
)  # fmt: skip
SEM = (("otime", "q", 48), ("ctime", "q", 64), ("nsems", "Q", 80))
SIZES = {"shm": 112, "msg": 120, "sem": 104}


def command_text(kind: str, command: int) -> str:
    """Return the name of what is to be done."""
    shown = named(f"{kind}_cmd", command & ~IPC_64 & 0xFFFFFFFF)
    return ("IPC_64|" if command & IPC_64 else "") + shown


def _object(prefix: str, data: bytes, fields: Fields, whole: bool) -> str:
    key, uid, gid, cuid, cgid, mode = struct.unpack_from("<6I", data)
    perm = f"uid={uid}, gid={gid}, mode={octal(mode)}"
    perm += f", key={hexadecimal(key)}, cuid={cuid}, cgid={cgid}" if whole else ""
    shown = [f"{prefix}_perm={{{perm}}}"]
    for name, form, at in fields:
        if whole or name == "qbytes":
            shown.append(f"{prefix}_{name}={struct.unpack_from('<' + form, data, at)[0]}")
    return "{" + ", ".join(shown) + "}"


INFOS = {"shm": (IPC_INFO, SHM_INFO), "msg": (IPC_INFO, 12), "sem": (IPC_INFO, 19)}
WORDS = {
    "msg": ("msgpool", "msgmap", "msgmax", "msgmnb", "msgmni", "msgssz", "msgtql", "msgseg"),
    "sem": ("semmap", "semmni", "semmns", "semmnu", "semmsl", "semopm", "semume", "semusz",
            "semvmx", "semaem"),
}  # fmt: skip


def _words(view: View, prefix: str, at: int) -> str:
    names = WORDS[prefix]
    data = view.after.peek(at, 30 if prefix == "msg" else 40) if at and not view.failed else b""
    if len(data) < 30:
        return address(at)
    words = struct.unpack("<7iH" if prefix == "msg" else "<10i", data)
    pairs = zip(names, words, strict=True)
    return "{" + ", ".join(f"{name}={word}" for name, word in pairs) + "}"


def _limits(view: View, at: int, which: int) -> str:
    data = view.after.peek(at, 40 if which == IPC_INFO else 48) if at else b""
    if view.failed or len(data) < 40:
        return address(at)
    if which == IPC_INFO:
        names, words = ("max", "min", "mni", "seg", "all"), struct.unpack("<5Q", data)
    else:
        names = ("_tot", "_rss", "_swp", "swap_attempts", "swap_successes")
        words = struct.unpack_from("<5Q", data, 8)
    shown = [] if which == IPC_INFO else [f"used_ids={int.from_bytes(data[:4], 'little')}"]
    for name, word in zip(names, words, strict=True):
        shown.append(f"{'' if name[:4] == 'swap' else 'shm'}{name}={word}")
    return "{" + ", ".join(shown) + "}"


def _control(view: View, prefix: str, i: int, at: int, fields: Fields) -> Iterator[str]:
    """Write the command, which is argument i, and the object or where it is to be."""
    command = view.i32(i)
    yield command_text(prefix, command)
    which = command & ~IPC_64
    if which in INFOS[prefix]:
        yield LATE
        yield _limits(view, at, which) if prefix == "shm" else _words(view, prefix, at)
        return
    memory: Memory = view.before
    if which != IPC_SET:
        yield LATE
        memory = view.after
    shown = which == IPC_SET or (which == IPC_STAT and not view.failed)
    data = memory.peek(at, SIZES[prefix]) if shown and at else b""
    whole = len(data) == SIZES[prefix]
    yield _object(prefix, data, fields, which == IPC_STAT) if whole else address(at)


@special("shmctl", "msgctl")
def _shmctl(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    prefix = view.name[:3]
    yield from _control(view, prefix, 1, view.args[2], SHM if prefix == "shm" else MSG)


@special("semctl")
def _semctl(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield str(view.i32(1))
    yield from _control(view, "sem", 2, view.args[3], SEM)
