"""Watching tasks for `exo-um trace`: what the kernel process sets up, and whom it has watched.

Who watches has mapped the region, and takes events from its rings (native/host/drain.c); over its
socket it says what it wants, and its hanging up ends the watching: no guest waits for the dead.
"""

from __future__ import annotations

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from exo_um.bindings.region import Region

STRING_LIMIT = (1 << 31) - 2
STACK_LIMIT = 2048  # leaves room for what the call itself has in memory


class Recording:
    """The one recording that an instance has room for."""

    __slots__ = ("_region", "active")

    def __init__(self, region: Region) -> None:
        """Make one that is off."""
        self._region = region
        self.active = False

    def start(self, wish: dict[str, Any]) -> None:
        """Set up rings and what is told.

        Errors: BlockingIOError, somebody watches already; ValueError, KeyError, TypeError, a
        malformed wish.
        """
        recording = self._region.kr.recording
        if self.active:
            raise BlockingIOError("the instance is being traced already")
        recording.flags = int(wish["flags"]) & lib.EXO_RECORDING_ALL
        recording.string_limit = max(0, min(int(wish["string_limit"]), STRING_LIMIT))
        recording.stack_limit = max(0, min(int(wish.get("stack_limit", 0)), STACK_LIMIT)) & ~7
        if wish["calls"] is None:
            ffi.memmove(
                recording.calls, b"\xff" * ffi.sizeof(recording.calls), ffi.sizeof(recording.calls)
            )
        else:
            fill(recording.calls, wish["calls"])
        tampers = wish["tamper"][: lib.EXO_TAMPER_COUNT]
        for place, change in zip(recording.tampers, tampers, strict=False):
            tamper(place, change)
        recording.tamper_count = len(tampers)
        for i, seen in enumerate(recording.tally_seen):
            if seen:
                empty(recording.tallies[i])
                recording.tally_seen[i] = 0
        ffi.memmove(
            recording.depths, bytes(ffi.sizeof(recording.depths)), ffi.sizeof(recording.depths)
        )
        check(lib.exo_record_init(self._region.kr))
        recording.on = 1
        self.active = True

    def watch(self, slot: int, running: bool) -> None:
        """Have a task watched; one that runs is told to look."""
        self._region.kr.tasks[slot].flags |= lib.EXO_TASK_RECORDED
        if running:
            lib.exo_record_call_task(self._region.kr, slot)

    def watch_running(self, pid: int, follow: bool) -> int:
        """Have the tasks of a process watched, 0: of all; return how many there are."""
        kr = self._region.kr
        count = 0
        for slot in range(1, kr.task_high):
            task = kr.tasks[slot]
            mine = pid in (0, task.tid) or (follow and task.tgid == pid)
            if task.state == lib.EXO_TASK_ALIVE and mine:
                self.watch(slot, running=True)
                count += 1
        return count

    def stop(self) -> None:
        """End it: who waits for room goes on, and nobody is watched any more."""
        if not self.active:
            return
        self.active = False
        kr = self._region.kr
        lib.exo_record_close(kr)
        for slot in range(1, kr.task_high):
            task = kr.tasks[slot]
            if task.flags & lib.EXO_TASK_RECORDED:
                task.flags &= ~lib.EXO_TASK_RECORDED
                if task.state == lib.EXO_TASK_ALIVE:
                    lib.exo_record_call_task(kr, slot)


def empty(array: Any) -> None:
    """Make an array all zeros."""
    ffi.memmove(array, bytes(ffi.sizeof(array)), ffi.sizeof(array))


def fill(bits: Any, numbers: list[int]) -> None:
    """Set the bits of calls' numbers, and no others."""
    for i in range(len(bits)):
        bits[i] = sum(1 << nr % 64 for nr in set(numbers) if nr // 64 == i)


def tamper(place: Any, change: dict[str, Any]) -> None:
    """Write down what is to be done to calls."""
    fill(place.calls, change["calls"])
    place.flags = lib.EXO_TAMPER_RESULT if change["result"] is not None else 0
    place.result = change["result"] or 0
    for name in ("signal", "delay_enter_ns", "delay_exit_ns", "first", "last", "step"):
        setattr(place, name, int(change[name]))
