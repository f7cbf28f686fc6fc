"""What becomes of events: filtered, counted, written; told by whichever platform traces."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from exo_um.trace.dump import dump_of
from exo_um.trace.paths import is_about
from posix_x.decode import text

if TYPE_CHECKING:
    from exo_um.trace.summary import Summary
    from exo_um.trace.tamper import Tampering
    from exo_um.trace.wish import Wishes
    from exo_um.trace.writer import Writer
    from posix_x.decode.view import Options, View


class Sink:
    """Takes the events of all tasks, in the order in which they happened."""

    def __init__(self, wishes: Wishes, writer: Writer, options: Options, summary: Summary) -> None:
        """Write what is wished for."""
        self.summary = summary if wishes.counts else None
        self.wishes = wishes
        self.writer = writer
        self.options = options
        self._counts: dict[tuple[int, int], int] = {}
        self._pending: dict[int, tuple[int, View]] = {}  # calls that may not be told: by tid
        self._late = wishes.statuses is not None
        self._whole = replace(options, verbose=True)

    def options_of(self, nr: int) -> Options:
        """Return how a call is written."""
        abbreviated = self.wishes.abbreviated
        return self.options if abbreviated is None or nr in abbreviated else self._whole

    def say(self, words: str, what: str = "attach") -> None:
        """Tell the user, on stderr, unless that is not wanted."""
        if what not in self.wishes.quiet:
            self.writer.flush()
            sys.stderr.write(f"exo-um trace: {words}\n")

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

    def _is_wanted(self, view: View) -> bool:
        if self.wishes.calls is not None and view.nr not in self.wishes.calls:
            return False
        return not self.wishes.only_paths or is_about(view, self.wishes.only_paths)

    def _is_status_wanted(self, view: View) -> bool:
        status = "failed" if view.failed else "successful"
        return self.wishes.statuses is None or status in self.wishes.statuses

    def enter(self, tid: int, at_ns: int, view: View) -> bool:
        """Take the beginning of a call."""
        if not self._is_wanted(view) or self.wishes.summary_only:
            self.writer.note(tid, view)
            return False
        if self._late:
            self._pending[tid] = at_ns, view
            return False
        self.writer.begin(tid, at_ns, view)
        return True

    def call(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str) -> bytes | None:
        """Take a call that has returned; return its line, if it may be used for others like it."""
        if not self._is_wanted(view) or self.wishes.summary_only:
            return None
        self._pending.pop(tid, None)
        if not self._is_status_wanted(view):
            return None
        line = self.writer.call(tid, at_ns, view, spent_ns, tail)
        self._dump(tid, view)
        return line

    def _dump(self, tid: int, view: View) -> None:
        if self.wishes.dumps:
            self.writer.lines(tid, dump_of(view, self.wishes.read, self.wishes.write))

    def is_plain(self) -> bool:
        """Whether the same call gives the same line, whenever it is made."""
        style = self.writer.style
        varies = (
            self.writer.has_times
            or style.clock
            or style.relative
            or style.spent
            or style.follow > 1
            or style.pointer
            or style.number
        )
        wishes = self.wishes
        apart = wishes.raw or wishes.abbreviated is not None or wishes.only_paths or wishes.dumps
        return not (varies or wishes.paths or wishes.stack or apart or text.hexadecimal_strings())

    def leave(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> None:
        """Take the end of a call."""
        self._pending.pop(tid, None)
        if not self._is_wanted(view) or (self._late and not self._is_status_wanted(view)):
            return
        if self.summary is not None:
            self.summary.add(view.nr, spent_ns, view.failed)
        if self.wishes.summary_only:
            return
        if self._late:
            self.writer.call(tid, at_ns - spent_ns, view, spent_ns, tail)
        else:
            self.writer.end(tid, at_ns, view, spent_ns, tail)
        self._dump(tid, view)

    def frames(self, tid: int, frames: str) -> None:
        """Take who makes a call that is about to be told."""
        self.writer.frames[tid] = frames

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
        begun = self._pending.pop(tid, None)
        if begun is not None and "unfinished" in (self.wishes.statuses or ()):
            self.writer.begin(tid, *begun)
        if not self.wishes.summary_only:
            self.writer.ended(tid, at_ns, status)
        self.writer.tasks.discard(tid)

    def finish(self) -> None:
        """Write what is left to write, and the table."""
        self.writer.finish()
        if self.summary is not None:
            self.writer.raw(self.summary.text().encode())
            self.writer.flush()
