"""Events as JSON: a line for each, or a whole that ui.perfetto.dev opens."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, BinaryIO

from exo_um.trace.writer import Style, Writer
from posix_x.decode.line import decode
from posix_x.decode.signals import siginfo_text
from posix_x.decode.values import signal_name

if TYPE_CHECKING:
    from posix_x.decode.view import View


class JsonWriter(Writer):
    """A line for each event: time in seconds since the epoch, duration in seconds."""

    has_times = True

    def _event(self, tid: int, at_ns: int, **what: object) -> bytes:
        event = {"time": at_ns / 1e9, "pid": tid, **what}
        text = (json.dumps(event, ensure_ascii=True) + "\n").encode()
        self._file(tid).write(text)
        return text

    def is_whole(self) -> bool:
        """Return True: no line is ever open."""
        return True

    def begin(self, tid: int, at_ns: int, view: View) -> None:
        """Write nothing but a call that does not return: others are told of at their end."""
        if view.name in ("exit", "exit_group"):
            self.call(tid, at_ns, view, 0)

    def end(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> None:
        """Write a call that has returned."""
        self.call(tid, at_ns - spent_ns, view, spent_ns, tail)

    def call(self, tid: int, at_ns: int, view: View, spent_ns: int, tail: str = "") -> bytes:
        """Write a call."""
        line = decode(view)
        arguments = (line.entry + line.exit)[len(line.name) + 1 :].removesuffix(")")
        return self._event(
            tid,
            at_ns,
            call=line.name,
            arguments=arguments,
            result=line.result + tail,
            value=view.result,
            duration=spent_ns / 1e9,
        )

    def signal(self, tid: int, at_ns: int, siginfo: bytes) -> None:
        """Write that a signal comes to a task."""
        name = signal_name(int.from_bytes(siginfo[:4], "little"))
        self._event(tid, at_ns, signal=name, info=siginfo_text(siginfo))

    def stopped(self, tid: int, at_ns: int, number: int) -> None:
        """Write that a signal has stopped a task."""
        self._event(tid, at_ns, stopped=signal_name(number))

    def ended(self, tid: int, at_ns: int, status: int) -> None:
        """Write how a task ended."""
        if os.WIFSIGNALED(status):
            self._event(tid, at_ns, killed=signal_name(os.WTERMSIG(status)))
        else:
            self._event(tid, at_ns, exited=os.WEXITSTATUS(status))

    def finish(self) -> None:
        """Flush."""
        self.flush()


class PerfettoWriter(JsonWriter):
    """Chrome's trace event format, times in microseconds: one slice for each call."""

    def __init__(self, style: Style, out: BinaryIO) -> None:
        """Begin the one object."""
        super().__init__(style, out)
        self._separator = b'{"displayTimeUnit": "ns", "traceEvents": [\n'

    def _event(self, tid: int, at_ns: int, **what: object) -> bytes:
        event: dict[str, object] = {"ts": at_ns / 1e3, "pid": 1, "tid": tid}
        if "call" in what:
            duration = what.pop("duration")
            assert isinstance(duration, float)
            event |= {"name": what.pop("call"), "ph": "X", "dur": duration * 1e6, "args": what}
        else:
            name = " ".join(f"{key} {value}" for key, value in what.items() if key != "info")
            event |= {"name": name, "ph": "i", "s": "t", "args": what}
        self._file(tid).write(self._separator + json.dumps(event).encode())
        self._separator = b",\n"
        return b""

    def finish(self) -> None:
        """End the object."""
        opening = self._separator if self._separator[:1] == b"{" else b""
        self._out.write(opening + b"\n]}\n")
        self.flush()
