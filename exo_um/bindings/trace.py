"""System-call stops of traced guests; see native/host/trace.c."""

from __future__ import annotations

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from exo_um.bindings.region import Region


class SyscallStops:
    """Serves the tracees of the calling thread while nothing but system calls stops them."""

    __slots__ = ("_region", "_stop", "_tracing")

    def __init__(self, region: Region, signals: int, control: int, fast: Iterable[int]) -> None:
        """Take a signalfd of SIGCHLD, a socket, and the calls that need nothing of the host."""
        self._region = region
        self._stop = ffi.new("struct exo_stop *")
        self._tracing = ffi.new("struct exo_tracing *")
        self._tracing.kr = region.kr
        self._tracing.signals, self._tracing.control = signals, control
        for number in fast:
            self._tracing.fast[number] = 1

    def serve(self) -> tuple[int, int] | None:
        """Return tid and wait status of another kind of stop or an end; None: the socket is ready.

        Errors: those of ptrace.
        """
        event = check(lib.exo_host_trace(self._tracing, self._stop))
        if event == lib.EXO_TRACE_CONTROL:
            return None
        return self._stop.tid, self._stop.status

    def let_go(self, slot: int) -> None:
        """Let a task go on that waits to be traced."""
        lib.exo_host_traced(self._region.kr, slot)
