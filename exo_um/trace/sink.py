"""What becomes of events: filtered, counted, written; told by whichever platform traces."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from exo_um.trace.descriptors import fd_text
from exo_um.trace.summary import Summary

if TYPE_CHECKING:
    from exo_um.trace.select import Tampering
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Writer
    from posix_x.decode.view import Options, View


class Sink:
    """Takes the events of all tasks, in the order in which they happened."""

    def __init__(self, wishes: Wishes, writer: Writer, options: Options, sort: str) -> None:
        """Write what is wished for."""
        self.summary = Summary(sort) if wishes.counts else None
        self.wishes = wishes
        self.writer = writer
        self.options = options
        self._counts: dict[tuple[int, int], int] = {}
        self._late = wishes.only_ok or wishes.only_failed

    def say(self, text: str) -> None:
        """Tell the user, on stderr; not with -q."""
        if not self.wishes.quiet:
            self.writer.flush()
            sys.stderr.write(f"exo-um trace: {text}\n")

    def born(self, tid: int) -> None:
        """Take note of a task."""
        self.writer.tasks.add(tid)

    def renamed(self, former: int, tid: int) -> None:
        """Take note of a thread that has executed a program."""
        self.writer.tasks.discard(former)
        self.writer.tasks.add(tid)

    def tampering(self, tid: int, nr: int) -> Tampering | None:
        """Count a call that is about to be made; return what to do to it."""
        found = None
        for i, change in enumerate(self.wishes.tamperings):
            if nr in change.calls:
                count = self._counts[tid, i] = self._counts.get((tid, i), 0) + 1
                if change.hits(count) and found is None:
                    found = change
        return found

    def _is_wanted(self, nr: int) -> bool:
        return self.wishes.calls is None or nr in self.wishes.calls

    def enter(self, tid: int, at_ns: int, view: View) -> bool:
        """Take the beginning of a call."""
        if not self._is_wanted(view.nr) or self.wishes.summary_only or self._late:
            return False
        self._name_fds(tid)
        self.writer.begin(tid, at_ns, view)
        return True

    def call(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str) -> bytes | None:
        """Take a call that has returned; return its line, if it may be used for others like it."""
        if not self._is_wanted(view.nr) or self.wishes.summary_only:
            return None
        if self._late and view.failed != self.wishes.only_failed:
            return None
        self._name_fds(tid)
        return self.writer.call(tid, at_ns, view, spent_ns, tail)

    def is_plain(self) -> bool:
        """Whether the same call gives the same line, whenever it is made."""
        style = self.writer.style
        varies = (
            self.writer.has_times
            or style.clock
            or style.relative
            or style.spent
            or style.follow > 1
        )
        return not (varies or self.wishes.paths or self.wishes.stack)

    def leave(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> None:
        """Take the end of a call."""
        if not self._is_wanted(view.nr):
            return
        if self.summary is not None:
            self.summary.add(view.nr, spent_ns, view.failed)
        if self.wishes.summary_only:
            return
        self._name_fds(tid)
        if not self._late:
            self.writer.end(tid, at_ns, view, spent_ns, tail)
        elif view.failed == self.wishes.only_failed:
            self.writer.call(tid, at_ns - spent_ns, view, spent_ns, tail)

    def frames(self, tid: int, frames: str) -> None:
        """Take who makes a call that is about to be told."""
        self.writer.frames[tid] = frames

    def _name_fds(self, tid: int) -> None:
        if self.wishes.paths:
            self.options.fd_text = lambda fd: fd_text(tid, fd)

    def signal(self, tid: int, at_ns: int, siginfo: bytes) -> None:
        """Take a signal that comes to a task."""
        number = int.from_bytes(siginfo[:4], "little")
        wanted = self.wishes.signals is None or number in self.wishes.signals
        if wanted and not self.wishes.summary_only:
            self.writer.signal(tid, at_ns, siginfo)

    def stopped(self, tid: int, at_ns: int, number: int) -> None:
        """Take a task's being stopped by a signal."""
        if not self.wishes.summary_only:
            self.writer.stopped(tid, at_ns, number)

    def ended(self, tid: int, at_ns: int, status: int) -> None:
        """Take a task's end."""
        if not self.wishes.summary_only:
            self.writer.ended(tid, at_ns, status)
        self.writer.tasks.discard(tid)

    def finish(self) -> None:
        """Write what is left to write, and the table."""
        self.writer.finish()
        if self.summary is not None:
            self.writer.raw(self.summary.text().encode())
            self.writer.flush()
