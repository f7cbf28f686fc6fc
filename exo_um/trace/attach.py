"""Tracing an instance that runs already, or a process of it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from exo_um.bindings.region import OpenedRegion
from exo_um.cli.instances import find
from exo_um.trace.clock import Clock, add_tallies
from exo_um.trace.drain import Drain
from exo_um.trace.launch import is_closed

if TYPE_CHECKING:
    from exo_um.trace.sink import Sink


def attach(name: str, pid: int, wish: dict[str, Any], sink: Sink) -> int:
    """Trace it until it ends or SIGINT comes; return a wait status. Errors: OSError."""
    target = find(name)
    answer, fds = target.ask({"op": "trace", "wish": wish, "pid": pid})
    if not answer["count"]:
        raise ProcessLookupError(f"no process {pid} in instance {name}")
    region, clock = OpenedRegion(fds[0]), Clock()
    drain = Drain(region, sink, clock, lambda: not is_closed(target.connection))
    drain.leave_with = pid
    sink.say(f"Process {pid} attached" if pid else f"Instance {name} attached")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: drain.leave())  # noqa: TID251 - sets a flag
    drain.run()
    if drain.leaves:
        sink.say(f"Process {pid} detached" if pid else f"Instance {name} detached")
    if sink.summary is not None:
        add_tallies(region, clock, sink.summary, sink.wishes.calls)
    target.close()
    sink.finish()
    return 0
