"""ptrace(2): what address and data mean is the request's."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.signals import set_text
from posix_x.decode.text import address, flags, hexadecimal, named, signed
from posix_x.decode.values import pointed, signal_name
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

REGISTERS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
             "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base",
             "gs_base", "ds", "es", "fs", "gs")  # fmt: skip
NOTES = {1: "NT_PRSTATUS", 2: "NT_PRFPREG", 0x200: "NT_386_TLS", 0x201: "NT_386_IOPERM",
         0x202: "NT_X86_XSTATE"}  # fmt: skip
NOTHING = {"PTRACE_TRACEME", "PTRACE_KILL", "PTRACE_ATTACH", "PTRACE_INTERRUPT", "PTRACE_LISTEN"}
SIGNALS = {"PTRACE_CONT", "PTRACE_SINGLESTEP", "PTRACE_SYSCALL", "PTRACE_DETACH", "PTRACE_SYSEMU",
           "PTRACE_SYSEMU_SINGLESTEP", "PTRACE_SINGLEBLOCK"}  # fmt: skip
OPTIONS = {"PTRACE_SETOPTIONS", "PTRACE_OLDSETOPTIONS", "PTRACE_SEIZE"}
NO_ADDRESS = {"PTRACE_GETREGS", "PTRACE_SETREGS", "PTRACE_GETFPREGS",
              "PTRACE_SETFPREGS"}  # fmt: skip
READS = {"PTRACE_GETREGS", "PTRACE_GETFPREGS", "PTRACE_GETEVENTMSG", "PTRACE_GETSIGINFO",
         "PTRACE_GETREGSET", "PTRACE_GETSIGMASK", "PTRACE_PEEKTEXT", "PTRACE_PEEKDATA",
         "PTRACE_PEEKUSR", "PTRACE_GET_SYSCALL_INFO", "PTRACE_PEEKSIGINFO",
         "PTRACE_SECCOMP_GET_FILTER"}  # fmt: skip
SIZED = {"PTRACE_GETSIGMASK", "PTRACE_SETSIGMASK", "PTRACE_SECCOMP_GET_FILTER",
         "PTRACE_SECCOMP_GET_METADATA", "PTRACE_GET_SYSCALL_INFO"}  # fmt: skip


def _place(value: int) -> str:
    """Return a place in struct user."""
    if value % 8 == 0 and value // 8 < len(REGISTERS):
        return f"8*{REGISTERS[value // 8].upper()}" if value else "8*R15"
    return address(value)


def _registers(data: bytes) -> str:
    words = struct.unpack("<27Q", data)
    shown = (f"{name}={hexadecimal(word)}" for name, word in zip(REGISTERS, words, strict=True))
    return "{" + ", ".join(shown) + "}"


def _floating(data: bytes) -> str:
    head = struct.unpack_from("<4H2Q2I", data)
    names = ("cwd", "swd", "ftw", "fop", "rip", "rdp", "mxcsr", "mxcr_mask")
    shown = [f"{name}={hexadecimal(word)}" for name, word in zip(names, head, strict=True)]
    for name, at, count in (("st_space", 32, 32), ("xmm_space", 160, 64), ("padding", 416, 24)):
        words = struct.unpack_from(f"<{count}I", data, at)
        if name != "padding" or any(words):
            items = ["0" if not word else f"{word:#x}" for word in words[:32]]
            items += ["..."] if count > 32 else []
            shown.append(f"{name}=[{', '.join(items)}]")
    return "{" + ", ".join(shown) + "}"


def _peeked(view: View) -> Iterator[str]:
    """Write PTRACE_PEEKSIGINFO's two arguments."""
    data = view.before.peek(view.args[2], 16) if view.args[2] else b""
    if len(data) == 16:
        start, how, count = struct.unpack("<QIi", data)
        bits = "PTRACE_PEEKSIGINFO_SHARED" if how == 1 else (
            f"{how:#x} /* PTRACE_PEEKSIGINFO_??? */" if how else "0"
        )  # fmt: skip
        yield f"{{off={start}, flags={bits}, nr={count}}}"
    else:
        yield address(view.args[2])
    yield LATE
    yield address(view.args[3])


def _address(view: View, name: str) -> str:
    value = view.args[2]
    if name in ("PTRACE_PEEKUSR", "PTRACE_POKEUSR"):
        return _place(value)
    if name in ("PTRACE_GETREGSET", "PTRACE_SETREGSET"):
        value &= 0xFFFFFFFF
        return NOTES.get(value) or f"{hexadecimal(value)} /* NT_??? */"
    return str(value) if name in SIZED else address(value)


def _data(view: View, name: str) -> str:
    """Return what data is, or leads to."""
    value = view.args[3]
    memory = view.after if name in READS else view.before
    if name in SIGNALS:
        known = value in SETS["sig"][2] or value < 65
        return signal_name(signed(value, 4)) if known and value else str(signed(value, 4))
    if name in OPTIONS:
        return flags("ptrace_options", value)
    if view.failed and name in READS and name != "PTRACE_GETREGSET":
        return address(value)
    if name in ("PTRACE_GETREGS", "PTRACE_SETREGS"):
        data = memory.peek(value, 216) if value else b""
        return _registers(data) if len(data) == 216 else address(value)
    if name in ("PTRACE_GETFPREGS", "PTRACE_SETFPREGS"):
        data = memory.peek(value, 512) if value else b""
        return _floating(data) if len(data) == 512 else address(value)
    if name in ("PTRACE_GETSIGINFO", "PTRACE_SETSIGINFO"):
        return pointed(view, "siginfo", value, memory)
    if name in ("PTRACE_GETSIGMASK", "PTRACE_SETSIGMASK"):
        data = memory.peek(value, 8) if value and view.args[2] == 8 else b""
        return set_text(int.from_bytes(data, "little")) if len(data) == 8 else address(value)
    if name in ("PTRACE_PEEKTEXT", "PTRACE_PEEKDATA", "PTRACE_PEEKUSR", "PTRACE_GETEVENTMSG"):
        data = memory.peek(value, 8) if value else b""
        word = hexadecimal(int.from_bytes(data, "little"))
        return f"[{word}]" if len(data) == 8 else address(value)
    if name in ("PTRACE_GETREGSET", "PTRACE_SETREGSET"):
        data = view.before.peek(value, 16) if value else b""
        base, size = struct.unpack("<QQ", data) if len(data) == 16 else (0, 0)
        return f"{{iov_base={address(base)}, iov_len={size}}}" if data else address(value)
    if name == "PTRACE_SECCOMP_GET_METADATA":
        data = view.before.peek(value, 8) if value else b""
        start = int.from_bytes(data, "little")
        return f"{{filter_off={start}}}" if len(data) == 8 else address(value)
    return address(value)


@special("ptrace")
def _ptrace(view: View) -> Iterator[str]:
    name = SETS["ptrace_request"][2].get(view.i32(0), "")
    yield (
        named("ptrace_request", view.args[0] if view.args[0] >> 31 else view.i32(0))
        .replace("PTRACE_PEEKUSR", "PTRACE_PEEKUSER")
        .replace("PTRACE_POKEUSR", "PTRACE_POKEUSER")
    )
    if name == "PTRACE_TRACEME":
        return
    yield str(view.i32(1))
    if name in NOTHING:
        return
    if name == "PTRACE_PEEKSIGINFO":
        yield from _peeked(view)
        return
    if name not in NO_ADDRESS:
        yield _address(view, name)
    if name in READS:
        yield LATE
    yield _data(view, name)
