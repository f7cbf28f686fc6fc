"""Writes events as strace does: prefixes, times, lines that others come between, files per task."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from posix_x.decode.line import RESULT_COLUMN, Line, decode, pad
from posix_x.decode.signals import siginfo_text
from posix_x.decode.values import signal_name

if TYPE_CHECKING:
    from posix_x.decode.view import View


@dataclass
class Style:
    """The options that say how lines look."""

    follow: int = 0  # -f; 2: -ff
    path: str | None = None  # -o
    clock: int = 0  # -t, -tt, -ttt
    relative: bool = False  # -r
    spent: bool = False  # -T
    column: int = RESULT_COLUMN  # -a
    no_exits: bool = False  # -qq
    pointer: bool = False  # -i
    number: bool = False  # -n
    append: bool = False  # -A


class Writer:
    """Where lines go. Times are nanoseconds since the epoch."""

    has_times = False  # whatever the options

    def __init__(self, style: Style, out: BinaryIO) -> None:
        """Write to out, or with -ff to files beside it that it is not used for."""
        self.style = style
        self._out = out
        self._files: dict[int, BinaryIO] = {}
        self._open: dict[int, int] = {}  # file number: tid of who began its last line
        self._broken: set[int] = set()  # tids whose call others came between
        self._width: dict[int, int] = {}  # of the line that a task has begun
        self._names: dict[int, str] = {}
        self._last_ns: dict[int, int] = {}
        self.tasks: set[int] = set()
        self._number: dict[int, int] = {}  # of a task's last call
        self._pointer: dict[int, int] = {}  # where it was made
        self.frames: dict[int, str] = {}  # of tasks that are in a call: who has made it

    def _file(self, tid: int) -> BinaryIO:
        if self.style.follow < 2 or self.style.path is None:
            return self._out
        if tid not in self._files:
            self._files[tid] = open(f"{self.style.path}.{tid}", "ab" if self.style.append else "wb")  # noqa: SIM115, PTH123 - kept
        return self._files[tid]

    def _key(self, tid: int) -> int:
        return tid if self.style.follow > 1 and self.style.path is not None else 0

    def prefix(self, tid: int, at_ns: int, of_call: bool = False) -> str:
        """Return what stands before a line of a task's; of_call: of the call noted last."""
        style = self.style
        text = ""
        if style.path is not None:
            if style.follow == 1:
                text = f"{tid:<5} "
        elif len(self.tasks) > 1:
            text = f"[pid {tid:5}] "
        if style.clock:
            text += clock_text(at_ns, style.clock)
        if style.relative:
            key = self._key(tid)
            since = max(at_ns - self._last_ns.get(key, at_ns), 0)
            self._last_ns[key] = at_ns
            shown = f"{since // 10**9:6}.{since % 10**9 // 1000:06}"
            text += f"(+{shown}) " if style.clock else f"{shown} "
        if style.number:
            text += f"[{self._number.get(tid, 0):4}] "
        if style.pointer:
            pointer = self._pointer.pop(tid, None) if of_call else None
            text += "[????????????????] " if pointer is None else f"[{pointer:016x}] "
        return text

    def note(self, tid: int, view: View) -> None:
        """Take note of what a call's prefix tells of it."""
        self._number[tid] = view.nr
        if view.pointer is not None:
            self._pointer[tid] = view.pointer

    def prefix_kind(self) -> int:
        """Return enum exo_prefix: how lines begin where there are no times."""
        if self.style.path is not None:
            return 1 if self.style.follow == 1 else 0
        return 2 if len(self.tasks) > 1 else 0

    def _put(self, tid: int, text: str) -> None:
        self._file(tid).write(text.encode("utf-8", "surrogateescape"))

    def _break(self, tid: int) -> None:
        """End a line that is still open: its call goes on later."""
        key = self._key(tid)
        owner = self._open.pop(key, None)
        if owner is not None:
            self._put(owner, " <unfinished ...>\n")
            self._broken.add(owner)

    def line(self, tid: int, at_ns: int, text: str) -> None:
        """Write a line of its own."""
        self._break(tid)
        self._put(tid, f"{self.prefix(tid, at_ns)}{text}\n")

    def begin(self, tid: int, at_ns: int, view: View) -> None:
        """Write a call that has not returned yet."""
        self._break(tid)
        self.note(tid, view)
        before = self.prefix(tid, at_ns, of_call=True)
        line = decode(view)
        self._put(tid, before + line.entry)
        self._width[tid] = len(before) + len(line.entry)
        self._names[tid] = line.name
        self._open[self._key(tid)] = tid

    def end(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> None:
        """Write the rest of a call that was begun."""
        line = decode(view)
        if self._open.get(self._key(tid)) == tid:
            del self._open[self._key(tid)]
            shown = pad(line.exit, self._width[tid], self.style.column)
            self._put(tid, shown + self._tail(line, spent_ns, tail))
            self._put_frames(tid)
            return
        self._break(tid)
        self._broken.discard(tid)
        self.note(tid, view)
        before = self.prefix(tid, at_ns, of_call=True)
        text = f"<... {line.name} resumed>{line.exit}"
        self._put(
            tid,
            before + pad(text, len(before), self.style.column) + self._tail(line, spent_ns, tail),
        )
        self._put_frames(tid)

    def is_whole(self) -> bool:
        """Whether no line is open."""
        return not self._open

    def lines(self, tid: int, text: str) -> None:
        """Write lines that belong to the call before them."""
        if text:
            self._put(tid, text)

    def raw(self, lines: bytes) -> None:
        """Write lines that are ready."""
        self._out.write(lines)

    def call(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> bytes:
        """Write a call that has returned, with nothing in between; return its line."""
        self._break(tid)
        self.note(tid, view)
        before = self.prefix(tid, at_ns, of_call=True)
        line = decode(view)
        text = pad(line.entry + line.exit, len(before), self.style.column)
        whole = (before + text + self._tail(line, spent_ns, tail)).encode(
            "utf-8", "surrogateescape"
        )
        self._file(tid).write(whole)
        self._put_frames(tid)
        return whole

    def _put_frames(self, tid: int) -> None:
        frames = self.frames.pop(tid, "")
        if frames:
            self._put(tid, frames)

    def _tail(self, line: Line, spent_ns: int, tail: str) -> str:
        spent = f" <{spent_ns // 10**9}.{spent_ns % 10**9 // 1000:06}>" if self.style.spent else ""
        return f"{line.result}{tail}{spent}\n"

    def signal(self, tid: int, at_ns: int, siginfo: bytes) -> None:
        """Write that a signal comes to a task."""
        name = signal_name(int.from_bytes(siginfo[:4], "little"))
        self.line(tid, at_ns, f"--- {name} {siginfo_text(siginfo)} ---")

    def stopped(self, tid: int, at_ns: int, number: int) -> None:
        """Write that a signal has stopped a task."""
        self.line(tid, at_ns, f"--- stopped by {signal_name(number)} ---")

    def ended(self, tid: int, at_ns: int, status: int) -> None:
        """Write how a task ended, by its wait status."""
        key = self._key(tid)
        if self._open.get(key) == tid:  # exit_group(0) = ?
            del self._open[key]
            width = self._width[tid]
            self._put(tid, pad(")", width, self.style.column) + "?\n")
        elif tid in self._broken:
            before = self.prefix(tid, at_ns)
            self._break(tid)
            text = f"<... {self._names.get(tid, '???')} resumed>)"
            self._put(tid, before + pad(text, len(before), self.style.column) + "?\n")
        self._broken.discard(tid)
        if os.WIFSIGNALED(status):
            core = " (core dumped)" if os.WCOREDUMP(status) else ""
            self.line(tid, at_ns, f"+++ killed by {signal_name(os.WTERMSIG(status))}{core} +++")
        elif not self.style.no_exits:
            self.line(tid, at_ns, f"+++ exited with {os.WEXITSTATUS(status)} +++")
        self._put_frames(tid)
        file = self._files.pop(tid, None)
        if file is not None:
            file.close()
        self.tasks.discard(tid)

    def flush(self) -> None:
        """Have everything written reach its files."""
        for file in (self._out, *self._files.values()):
            file.flush()

    def finish(self) -> None:
        """End an open line, and flush."""
        for key in list(self._open):
            self._break(self._open[key])
        self.flush()


def clock_text(at_ns: int, how: int) -> str:
    """Return a point in time as -t, -tt or -ttt have it."""
    seconds, micro = at_ns // 10**9, at_ns % 10**9 // 1000
    if how >= 3:
        return f"{seconds}.{micro:06} "
    text = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{text}.{micro:06} " if how == 2 else f"{text} "
