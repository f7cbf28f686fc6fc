"""Calls that are many by their first argument: prctl(2), arch_prctl(2), seccomp(2), syslog(2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.structs import name_text
from posix_x.decode.text import address, flags, hexadecimal, named
from posix_x.decode.values import number, signal_name
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

DUMPS = ("SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT")
SYSLOG = ("CLOSE", "OPEN", "READ", "READ_ALL", "READ_CLEAR", "CLEAR", "CONSOLE_OFF", "CONSOLE_ON",
          "CONSOLE_LEVEL", "SIZE_UNREAD", "SIZE_BUFFER")  # fmt: skip
SYSLOG_READS = (2, 3, 4)
CODES = {0x1001: "ARCH_SET_GS", 0x1002: "ARCH_SET_FS", 0x1003: "ARCH_GET_FS", 0x1004: "ARCH_GET_GS",
         0x1011: "ARCH_GET_CPUID", 0x1012: "ARCH_SET_CPUID"}  # fmt: skip
XFEATURES = ("FP", "SSE", "YMM", "BNDREGS", "BNDCSR", "OPMASK", "ZMM_Hi256", "Hi16_ZMM", "PT",
             "PKRU", "PASID", "", "", "", "", "LBR", "HWAVX", "XTILECFG", "XTILEDATA")  # fmt: skip

_NO_MORE = {"PR_GET_DUMPABLE", "PR_GET_KEEPCAPS", "PR_GET_SECCOMP", "PR_GET_TIMERSLACK",
            "PR_GET_SECUREBITS", "PR_GET_TIMING", "PR_TASK_PERF_EVENTS_DISABLE",
            "PR_TASK_PERF_EVENTS_ENABLE", "PR_GET_FP_MODE", "PR_SVE_GET_VL",
            "PR_SME_GET_VL"}  # fmt: skip
_ONE = {"PR_SET_KEEPCAPS", "PR_SET_TIMING", "PR_SET_CHILD_SUBREAPER", "PR_SET_TIMERSLACK",
        "PR_SET_ENDIAN", "PR_SET_FPEMU", "PR_SET_FPEXC"}  # fmt: skip
_NUMBERS = {"PR_GET_PDEATHSIG", "PR_GET_CHILD_SUBREAPER", "PR_GET_ENDIAN", "PR_GET_FPEMU",
            "PR_GET_FPEXC", "PR_GET_UNALIGN", "PR_GET_TSC"}  # fmt: skip
_NAMED = {  # of one argument
    "PR_SET_TSC": "pr_tsc", "PR_SET_UNALIGN": "pr_unalign", "PR_SET_FP_MODE": "pr_fp_mode",
    "PR_SET_SECUREBITS": "securebits", "PR_GET_SPECULATION_CTRL": "pr_spec",
    "PR_CAPBSET_READ": "capability", "PR_CAPBSET_DROP": "capability",
}  # fmt: skip
_FIRST = {  # of four, the first
    "PR_SET_MM": "pr_set_mm", "PR_SET_SECCOMP": "seccomp_mode", "PR_MCE_KILL": "pr_mce_kill",
    "PR_CAP_AMBIENT": "pr_cap_ambient", "PR_SCHED_CORE": "pr_sched_core",
    "PR_SET_VMA": "pr_set_vma",
}  # fmt: skip
_DECIMAL = {"PR_SET_NO_NEW_PRIVS", "PR_SET_THP_DISABLE", "PR_SET_IO_FLUSHER"}


def _got(view: View, name: str, at: int) -> str:
    data = view.after.peek(at, 4)
    if len(data) < 4 or view.failed:
        return address(at)
    found = int.from_bytes(data, "little")
    if name == "PR_GET_TSC":
        return f"[{named('pr_tsc', found)}]"
    if name == "PR_GET_UNALIGN":
        return f"[{flags('pr_unalign', found)}]"
    return f"[{signal_name(found) if name == 'PR_GET_PDEATHSIG' and found else found}]"


def _names(view: View, name: str, value: int) -> Iterator[str]:
    """Write PR_SET_NAME's and PR_GET_NAME's argument."""
    sets = name == "PR_SET_NAME"
    if not sets:
        yield LATE
    data = (view.before if sets else view.after).peek(value, 16)
    if not data or (view.failed and not sets):
        yield address(value)
    elif sets:
        yield name_text(data[:15]) + ("" if b"\0" in data[:16] else "...")
    else:
        yield name_text(data)


def _group(view: View, name: str, value: int) -> Iterator[str]:
    """Write four arguments of which the first has a name."""
    kind = _FIRST[name]
    yield named(kind, value)
    rest = 2
    known = SETS[kind][2].get(value, "")
    if known in ("PR_CAP_AMBIENT_RAISE", "PR_CAP_AMBIENT_LOWER", "PR_CAP_AMBIENT_IS_SET"):
        yield named("capability", view.args[2])
        rest = 3
    elif kind == "pr_sched_core":
        yield str(view.i32(2))
        yield named("pid_type", view.args[3])
        rest = 4
    elif known == "PR_MCE_KILL_SET":
        yield named("pr_mce_kill_policy", view.args[2])
        rest = 3
    elif known == "SECCOMP_MODE_STRICT":
        return
    elif known == "SECCOMP_MODE_FILTER":
        yield program_text(view, view.args[2])
        return
    yield from (hexadecimal(view.args[i]) for i in range(rest, 5))


@special("prctl")
def _prctl(view: View) -> Iterator[str]:  # noqa: C901 - one branch for each kind
    name = SETS["prctl_option"][2].get(view.i32(0), "")
    yield number(view, "prctl_option", view.args[0])
    value = view.args[1]
    if name in _NO_MORE:
        return
    if name in _ONE:
        yield str(value)
    elif name in _NUMBERS:
        yield LATE
        yield _got(view, name, value)
    elif name == "PR_SET_DUMPABLE":
        yield DUMPS[value] if value < 3 else f"{value:#x} /* SUID_DUMP_??? */"
    elif name == "PR_SET_PDEATHSIG":
        yield signal_name(value) if value <= 64 else str(value)
    elif name in ("PR_SET_NAME", "PR_GET_NAME"):
        yield from _names(view, name, value)
    elif name in _NAMED:
        yield flags(_NAMED[name], value)
    elif name in _FIRST:
        yield from _group(view, name, value)
    elif name == "PR_SET_SPECULATION_CTRL":
        yield named("pr_spec", value)
        known = value in SETS["pr_spec"][2]
        yield flags("pr_spec_control", view.args[2]) if known else hexadecimal(view.args[2])
    elif name in ("PR_SVE_SET_VL", "PR_SME_SET_VL"):
        yield hexadecimal(value)
    elif name == "PR_SET_PTRACER":
        yield "PR_SET_PTRACER_ANY" if value == (1 << 64) - 1 else str(view.i32(1))
    elif name == "PR_GET_TID_ADDRESS":
        yield LATE
        data = view.after.peek(value, 8) if not view.failed else b""
        shown = hexadecimal(int.from_bytes(data, "little"))
        yield f"[{shown}]" if len(data) == 8 else address(value)
    elif name in _DECIMAL:
        yield str(value)
        yield from (hexadecimal(view.args[i]) for i in (2, 3, 4))
    else:
        yield from (hexadecimal(view.args[i]) for i in (1, 2, 3, 4))


def _features(mask: int) -> str:
    names = [f"XFEATURE_MASK_{n}" for i, n in enumerate(XFEATURES) if n and mask >> i & 1]
    if mask & 3 == 3:
        names = ["XFEATURE_MASK_FPSSE", *names[2:]]
    if mask & 0xE0 == 0xE0:
        at = names.index("XFEATURE_MASK_OPMASK")
        names[at : at + 3] = ["XFEATURE_MASK_AVX512"]
    rest = mask & ~sum(1 << i for i, n in enumerate(XFEATURES) if n)
    shown = "|".join([*names, *([f"{rest:#x}"] if rest else [])])
    return f"{hexadecimal(mask)} /* {shown} */" if mask else "0"


@special("arch_prctl")
def _arch_prctl(view: View) -> Iterator[str]:
    code, value = view.i32(0), view.args[1]
    yield number(view, "arch_prctl_code", view.args[0])
    if code in (0x1003, 0x1004, 0x1021, 0x1022, 0x1024):
        yield LATE
        data = view.after.peek(value, 8) if not view.failed else b""
        word = int.from_bytes(data, "little")
        shown = hexadecimal(word) if code < 0x1020 else _features(word)
        yield f"[{shown}]" if len(data) == 8 else address(value)
    elif code in (0x1023, 0x1025):
        names = {17: "XFEATURE_XTILECFG", 18: "XFEATURE_XTILEDATA"}
        yield f"{hexadecimal(value)} /* {names.get(value, 'XFEATURE_???')} */"
    elif code in (0x1001, 0x1002):
        yield address(value)
    elif code != 0x1011:
        yield hexadecimal(value)


def program_text(view: View, at: int) -> str:
    """Return a struct sock_fprog."""
    data = view.before.peek(at, 16) if at else b""
    if len(data) < 16:
        return address(at)
    where = int.from_bytes(data[8:], "little")
    return f"{{len={int.from_bytes(data[:2], 'little')}, filter={address(where)}}}"


@special("seccomp")
def _seccomp(view: View) -> Iterator[str]:
    operation = view.u32(0)
    yield named("seccomp_op", operation)
    if operation == 1:
        yield flags("seccomp_flags", view.u32(1))
        yield program_text(view, view.args[2])
        return
    yield hexadecimal(view.u32(1))
    if operation == 2:
        data = view.before.peek(view.args[2], 4) if view.args[2] else b""
        action = int.from_bytes(data, "little")
        yield f"[{named('seccomp_action', action)}]" if len(data) == 4 else address(view.args[2])
    elif operation == 3:
        yield LATE
        data = view.after.peek(view.args[2], 6) if view.args[2] and not view.failed else b""
        names = ("seccomp_notif", "seccomp_notif_resp", "seccomp_data")
        sizes = [int.from_bytes(data[i : i + 2], "little") for i in (0, 2, 4)]
        shown = ", ".join(f"{name}={size}" for name, size in zip(names, sizes, strict=True))
        yield f"{{{shown}}}" if len(data) == 6 else address(view.args[2])
    else:
        yield address(view.args[2])


@special("syslog")
def _syslog(view: View) -> Iterator[str]:
    action, size = view.i32(0), max(view.result or 0, 0)
    known = 0 <= action < len(SYSLOG)
    name = f"SYSLOG_ACTION_{SYSLOG[action]}" if known else "SYSLOG_ACTION_???"
    yield f"{action} /* {name} */"
    if action in SYSLOG_READS:
        yield LATE
        failed = view.failed or not view.args[1]
        yield address(view.args[1]) if failed else view.data(view.args[1], size, view.after)
    else:
        yield address(view.args[1])
    yield str(view.i32(2))
