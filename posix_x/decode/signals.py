"""Signals: sets, dispositions, alternate stacks, what a handler is told."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, flags, hexadecimal
from posix_x.decode.values import number, pointed, shower, signal_name
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

CODES = {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ",
         -4: "SI_ASYNCIO", -5: "SI_SIGIO", -6: "SI_TKILL", -60: "SI_ASYNCNL"}  # fmt: skip
OWN_CODES = {
    "SIGCHLD": ("CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED",
                "CLD_CONTINUED"),
    "SIGSEGV": ("SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"),
    "SIGBUS": ("BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"),
    "SIGFPE": ("FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES",
               "FPE_FLTINV", "FPE_FLTSUB"),
    "SIGILL": ("ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG",
               "ILL_COPROC", "ILL_BADSTK"),
    "SIGTRAP": ("TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"),
    "SIGSYS": ("SYS_SECCOMP", "SYS_USER_DISPATCH"),
    "SIGIO": ("POLL_IN", "POLL_OUT", "POLL_MSG", "POLL_ERR", "POLL_PRI", "POLL_HUP"),
}  # fmt: skip
UC_SIGMASK = 296  # of struct ucontext, in a signal's frame
HANDLERS = {0: "SIG_DFL", 1: "SIG_IGN", (1 << 64) - 1: "SIG_ERR"}
SET_SIZE = 8
SA_RESTORER = 0x4000000


def set_text(mask: int) -> str:
    """Return a signal set; one with most signals in it by those that it lacks."""
    inverted = mask.bit_count() > 64 * 2 // 3
    if inverted:
        mask ^= (1 << 64) - 1
    names = [signal_name(i + 1).removeprefix("SIG") for i in range(64) if mask >> i & 1]
    return ("~" if inverted else "") + "[" + " ".join(names) + "]"


@shower("sigset")
def _sigset(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    return set_text(int.from_bytes(data[:8], "little"))


@shower("sigset_pack")
def _sigset_pack(_view: View, data: bytes, _at: int, memory: Memory) -> str:
    at, size = struct.unpack("<QQ", data)
    mask = memory.peek(at, 8) if at and size == SET_SIZE else b""
    shown = set_text(int.from_bytes(mask, "little")) if len(mask) == 8 else address(at)
    return f"{{sigmask={shown}, sigsetsize={size}}}"


@shower("sigaction")
def _sigaction(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    handler, how, restorer, mask = struct.unpack("<QQQQ", data)
    shown = f"{{sa_handler={HANDLERS.get(handler) or hex(handler)}, sa_mask={set_text(mask)}"
    shown += f", sa_flags={_action_flags(how)}"
    if how & SA_RESTORER:
        shown += f", sa_restorer={address(restorer)}"
    return shown + "}"


_ACTION_ORDER = (
    "SA_RESTORER", "SA_ONSTACK", "SA_RESTART", "SA_INTERRUPT", "SA_NODEFER", "SA_RESETHAND",
    "SA_SIGINFO", "SA_NOCLDSTOP", "SA_NOCLDWAIT",
)  # fmt: skip


def _action_flags(how: int) -> str:
    values = {name: bit for bit, name in SETS["sigaction_flags"][2].items()}
    values["SA_INTERRUPT"] = 0x20000000
    shown: list[str] = []
    for name in _ACTION_ORDER:
        if how & values[name]:
            shown.append(name)
            how &= ~values[name]
    if how:
        shown.append(hex(how))
    return "|".join(shown) or "0"


@shower("stack")
def _stack(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    at, how, _, size = struct.unpack("<QiIQ", data)
    names = flags("ss_flags", how & 0xFFFFFFFF)
    return f"{{ss_sp={address(at)}, ss_flags={names}, ss_size={size}}}"


def code_text(name: str, code: int) -> str:
    """Return a si_code's name for a signal of that name."""
    if code in CODES:
        return CODES[code]
    own = OWN_CODES.get(name, ())
    return own[code - 1] if 0 < code <= len(own) else hexadecimal(code & 0xFFFFFFFF)


@shower("siginfo")
def _siginfo(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    return siginfo_text(data)


def siginfo_text(data: bytes) -> str:
    """Return a siginfo_t as strace shows it with a signal."""
    data = data.ljust(64, b"\0")
    signo, error, code = struct.unpack_from("<iii", data)
    name = signal_name(signo)
    if signo == 0 and not any(data[:32]):
        return "{}"
    shown = [f"si_signo={name}", f"si_code={code_text(name, code)}"]
    if error:
        import errno

        shown.append(f"si_errno={errno.errorcode.get(error, error & 0xFFFFFFFF)}")
    shown += _details(name, code, data)
    return "{" + ", ".join(shown) + "}"


def _details(name: str, code: int, data: bytes) -> list[str]:
    pid, uid, status, _, utime, stime = struct.unpack_from("<iIiIqq", data, 16)
    if code == 0x80:
        return []
    if code == -2:
        timer, overrun, value = struct.unpack_from("<iiQ", data, 16)
        return [
            f"si_timerid={timer:#x}" if timer else "si_timerid=0",
            f"si_overrun={overrun}",
            _value(value),
        ]
    if code <= 0:
        who = [f"si_pid={pid}", f"si_uid={-1 if uid == 0xFFFFFFFF else uid}"]
        return who if code in (0, -6) else [*who, _value(int.from_bytes(data[24:32], "little"))]
    if name == "SIGCHLD":
        shown = str(status) if code == 1 else signal_name(status)
        return [
            f"si_pid={pid}", f"si_uid={uid}", f"si_status={shown}",
            f"si_utime={utime}", f"si_stime={stime}",
        ]  # fmt: skip
    at = int.from_bytes(data[16:24], "little")
    if name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP"):
        return [f"si_addr={address(at)}"]
    if name == "SIGIO":
        return [f"si_band={at}", f"si_fd={struct.unpack_from('<i', data, 24)[0]}"]
    if name == "SIGSYS":
        from posix_x.table.rows import NAMES

        nr = struct.unpack_from("<i", data, 24)[0]
        call = NAMES[nr] if 0 <= nr < len(NAMES) and NAMES[nr] else nr
        return [
            f"si_call_addr={address(at)}",
            f"si_syscall=__NR_{call}",
            "si_arch=AUDIT_ARCH_X86_64",
        ]
    value = int.from_bytes(data[24:32], "little")
    return [f"si_pid={pid}", f"si_uid={uid}", *([_value(value)] if value else [])]


def _value(value: int) -> str:
    low = value & 0xFFFFFFFF
    low -= (low & 0x80000000) << 1
    return f"si_int={low}, si_ptr={hexadecimal(value) if value else 'NULL'}"


@special("rt_sigreturn")
def _rt_sigreturn(view: View) -> Iterator[str]:
    mask = view.before.peek(view.stack + UC_SIGMASK, 8) if view.stack else b""
    yield f"{{mask={set_text(int.from_bytes(mask, 'little'))}}}" if len(mask) == 8 else ""


@special("rt_sigtimedwait")
def _rt_sigtimedwait(view: View) -> Iterator[str]:
    yield set_at(view, 0, 3, view.before)
    yield LATE
    yield _if_done(view, "siginfo", 1)
    yield pointed(view, "timespec", view.args[2], view.before)
    yield str(view.args[3])
    if view.result is not None and view.result > 0:
        view.note = signal_name(view.result)


def _if_done(view: View, type_: str, i: int) -> str:
    if view.failed:
        return address(view.args[i])
    return pointed(view, type_, view.args[i], view.after)


@special("rt_sigprocmask")
def _rt_sigprocmask(view: View) -> Iterator[str]:
    yield number(view, "sigprocmask_how", view.args[0])
    yield set_at(view, 1, 3, view.before)
    yield LATE
    yield address(view.args[2]) if view.failed else set_at(view, 2, 3, view.after)
    yield str(view.args[3])


def set_at(view: View, i: int, size_at: int, memory: Memory) -> str:
    """Return a set that argument i leads to, if the size that was given is the only right one."""
    right = view.args[size_at] == SET_SIZE
    return pointed(view, "sigset", view.args[i], memory) if right else address(view.args[i])


@special("rt_sigpending")
def _rt_sigpending(view: View) -> Iterator[str]:
    yield LATE
    size = view.args[1]
    data = view.after.peek(view.args[0], min(size, SET_SIZE)) if size and not view.failed else b""
    yield set_text(int.from_bytes(data, "little")) if data else address(view.args[0])
    yield str(size)


@special("signalfd", "signalfd4")
def _signalfd(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield set_at(view, 1, 2, view.before)
    yield str(view.args[2])
    if view.name == "signalfd4":
        yield flags("signalfd_flags", view.u32(3))
