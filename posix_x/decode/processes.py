"""Calls that make, run, await and govern tasks: clone, execve, wait4, futex, prctl, sched_*."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special, strings
from posix_x.decode.text import address, flags, hexadecimal, named
from posix_x.decode.values import number, pointed, signal_name
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

CLONE_FLAGS = ~0xFF
PARENT_SETTID, CHILD_SETTID, CHILD_CLEARTID, SETTLS, PIDFD = (
    0x100000,
    0x1000000,
    0x200000,
    0x80000,
    0x1000,
)


def clone_flags(how: int, with_signal: bool) -> str:
    """Return clone's flags, and the signal in their low byte."""
    shown = [flags("clone_flags", how & CLONE_FLAGS)] if how & CLONE_FLAGS else []
    if with_signal and how & 0xFF:
        shown.append(signal_name(how & 0xFF))
    return "|".join(shown) or "0"


@special("clone")
def _clone(view: View) -> Iterator[str]:
    how = view.args[0]
    yield f"child_stack={address(view.args[1])}"
    yield f"flags={clone_flags(how, True)}"
    if not how & (PARENT_SETTID | PIDFD | CHILD_SETTID | CHILD_CLEARTID | SETTLS):
        return
    yield LATE
    if how & (PARENT_SETTID | PIDFD):
        data = view.after.peek(view.args[2], 4)
        word = "parent_tid"
        known = len(data) == 4 and not view.failed
        yield (
            f"{word}=[{int.from_bytes(data, 'little')}]"
            if known
            else f"{word}={address(view.args[2])}"
        )
    if how & SETTLS:
        yield f"tls={hexadecimal(view.args[4])}"
    if how & (CHILD_SETTID | CHILD_CLEARTID):
        yield f"child_tidptr={address(view.args[3])}"


@special("clone3")
def _clone3(view: View) -> Iterator[str]:
    size = view.args[1]
    data = view.before.peek(view.args[0], min(size, 88))
    if len(data) < 64:
        yield address(view.args[0])
        yield str(size)
        return
    how, pidfd, child, parent, sig, stack, stack_size, tls = struct.unpack_from("<8Q", data)
    parts = [f"flags={clone_flags(how, False)}"]
    if how & PIDFD:
        parts.append(f"pidfd={address(pidfd)}")
    if how & (CHILD_SETTID | CHILD_CLEARTID):
        parts.append(f"child_tid={address(child)}")
    if how & PARENT_SETTID:
        parts.append(f"parent_tid={address(parent)}")
    parts += [f"exit_signal={signal_name(sig)}", f"stack={address(stack)}",
              f"stack_size={hexadecimal(stack_size)}"]  # fmt: skip
    if how & SETTLS:
        parts.append(f"tls={hexadecimal(tls)}")
    shown = "{" + ", ".join(parts) + "}"
    yield LATE
    came: list[str] = []
    for bit, at, word in ((PIDFD, pidfd, "pidfd"), (PARENT_SETTID, parent, "parent_tid")):
        got = view.after.peek(at, 4) if how & bit and not view.failed else b""
        if len(got) == 4:
            came.append(f"{word}=[{int.from_bytes(got, 'little')}]")
    yield shown + (f" => {{{', '.join(came)}}}" if came else "")
    yield str(size)


@special("unshare", "setns")
def _unshare(view: View) -> Iterator[str]:
    if view.name == "setns":
        yield view.fd(view.i32(0))
        yield flags("setns_flags", view.u32(1))
    else:
        yield flags("unshare_flags", view.args[0])


def _environment(view: View, at: int) -> str:
    if not at:
        return "NULL"
    count = 0
    while count < 100_000:
        data = view.before.peek(at + 8 * count, 8 * 64)
        words = [data[i : i + 8] for i in range(0, len(data) // 8 * 8, 8)]
        end = next((i for i, word in enumerate(words) if not any(word)), None)
        if end is not None:
            count += end
            return f"{at:#x} /* {count} var{'' if count == 1 else 's'} */"
        count += len(words)
        if len(words) < 64:
            return f"{at:#x} /* {count} vars, unterminated */" if count else f"{at:#x}"
    return f"{at:#x}"


@special("execve", "execveat")
def _execve(view: View) -> Iterator[str]:
    first = 0
    if view.name == "execveat":
        yield number(view, "dirfd", view.args[0])
        first = 1
    yield view.path(view.args[first])
    yield strings(view, view.args[first + 1])
    yield (
        strings(view, view.args[first + 2])
        if view.options.verbose
        else _environment(view, view.args[first + 2])
    )
    if first:
        yield flags("at_plain", view.u32(4))


def wait_status(status: int) -> str:
    """Return what wait4(2) has stored, by wait(2)'s macros."""
    low = status & 0x7F
    if status == 0xFFFF:
        return "{WIFCONTINUED(s)}"
    if status & 0xFF == 0x7F:
        event = status >> 16
        sig = status >> 8 & 0x7F
        shown = signal_name(sig) + (" | 0x80" if status >> 8 & 0x80 else "")
        return f"{{WIFSTOPPED(s) && WSTOPSIG(s) == {shown}}}" + (
            f" | {event} << 16" if event else ""
        )
    if low == 0:
        return f"{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}"
    core = " && WCOREDUMP(s)" if status & 0x80 else ""
    return f"{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(low)}{core}}}"


@special("wait4")
def _wait4(view: View) -> Iterator[str]:
    yield str(view.i32(0))
    yield LATE
    data = view.after.peek(view.args[1], 4) if view.args[1] else b""
    done = view.result is not None and view.result > 0
    yield (
        f"[{wait_status(int.from_bytes(data, 'little'))}]"
        if done and len(data) == 4
        else address(view.args[1])
    )
    yield flags("wait_options", view.u32(2))
    yield pointed(view, "rusage", view.args[3], view.after) if done else address(view.args[3])


@special("waitid")
def _waitid(view: View) -> Iterator[str]:
    yield number(view, "id_type", view.args[0])
    yield str(view.i32(1))
    yield LATE
    yield (
        address(view.args[2]) if view.failed else pointed(view, "siginfo", view.args[2], view.after)
    )
    yield flags("wait_options", view.u32(3))
    yield (
        address(view.args[4]) if view.failed else pointed(view, "rusage", view.args[4], view.after)
    )


FUTEX_MATCH_ANY = 0xFFFFFFFF
WAITS = {0, 6, 9, 11, 13}


def _futex_op(how: int) -> str:
    name = SETS["futex_op"][2].get(how & 0x7F)
    if name is None:
        return f"{how:#x} /* FUTEX_??? */"
    shown = name + ("_PRIVATE" if how & 0x80 else "")
    return str(shown) + ("|FUTEX_CLOCK_REALTIME" if how & 0x100 else "")


def _wake_op(value: int) -> str:
    value &= 0xFFFFFFFF
    shift = "FUTEX_OP_OPARG_SHIFT<<28|" if value >> 31 else ""
    operation = named("futex_wake_op", value >> 28 & 7)
    compare = ("EQ", "NE", "LT", "LE", "GT", "GE")
    which = value >> 24 & 0xF
    kind = f"FUTEX_OP_CMP_{compare[which]}" if which < 6 else f"{which:#x} /* FUTEX_OP_CMP_??? */"
    old, new = value >> 12 & 0xFFF, value & 0xFFF
    return f"{shift}{operation}<<28|{hexadecimal(old)}<<12|{kind}<<24|{hexadecimal(new)}"


@special("futex")
def _futex(view: View) -> Iterator[str]:
    operation = view.u32(1) & 0x7F
    yield address(view.args[0])
    yield _futex_op(view.u32(1))
    if operation not in SETS["futex_op"][2]:
        yield from (str(view.u32(2)), address(view.args[3]), address(view.args[4]))
        yield hexadecimal(view.u32(5))
        return
    if operation not in (6, 7, 8, 13):
        yield str(view.u32(2))
    if operation in WAITS:
        yield pointed(view, "timespec", view.args[3], view.before)
    elif operation in (3, 4, 5, 12):
        yield str(view.u32(3))
    if operation in (3, 4, 5, 11, 12):
        yield address(view.args[4])
    if operation in (4, 12):
        yield str(view.u32(5))
    elif operation == 5:
        yield _wake_op(view.args[5])
    elif operation in (9, 10):
        value = view.u32(5)
        yield "FUTEX_BITSET_MATCH_ANY" if value == FUTEX_MATCH_ANY else hexadecimal(value)


@special("exit", "exit_group")
def _exit(view: View) -> Iterator[str]:
    yield str(view.i32(0))


@special("capget", "capset")
def _capget(view: View) -> Iterator[str]:
    memory = view.before
    yield pointed(view, "cap_user_header", view.args[0], memory)
    version = int.from_bytes(memory.peek(view.args[0], 4), "little")
    if view.name == "capget":
        yield LATE
        memory = view.after
    size = 24 if version in (0x20071026, 0x20080522) else 12
    data = memory.peek(view.args[1], size) if view.args[1] else b""
    if len(data) < size or (view.failed and view.name == "capget"):
        yield address(view.args[1])
        return
    words = struct.unpack(f"<{size // 4}I", data)
    sets = [words[i] | (words[i + 3] << 32 if size == 24 else 0) for i in range(3)]
    names = zip(("effective", "permitted", "inheritable"), sets, strict=True)
    yield "{" + ", ".join(f"{name}={_capabilities(mask)}" for name, mask in names) + "}"


def _capabilities(mask: int) -> str:
    names = SETS["capability"][2]
    shown = [f"1<<{names[i]}" for i in sorted(names) if mask >> i & 1]
    rest = mask & ~sum(1 << i for i in names)
    return "|".join([*shown, *([f"{rest:#x}"] if rest else [])]) or "0"
