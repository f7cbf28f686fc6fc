"""Frames of tasks that make calls, as text: for -k."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exo_um.trace.images import Images
from exo_um.trace.unwind import FRAME_LIMIT, walk
from posix_x.decode.memory import Live

if TYPE_CHECKING:
    from exo_um.trace.images import Image
    from posix_x.decode.memory import Memory

# DWARF's numbers: rip, rsp, rbp, rbx, r12 to r15, which is what a call must leave alone.
NUMBERS = (16, 7, 6, 3, 12, 13, 14, 15)


class Stacks:
    """The stacks of all traced processes, by host pid."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Image | None] = {}
        self._images: dict[int, Images] = {}

    def text(self, host_pid: int, registers: tuple[int, ...], memory: Memory | None = None) -> str:
        """Return the frames of a task with those registers; none where nothing can be read."""
        images = self._images.get(host_pid)
        if images is None:
            images = self._images[host_pid] = Images(host_pid, self._known)
        opened = None
        try:
            images.refresh()
            if memory is None:
                memory = opened = Live(host_pid)
            places = walk(images, memory, dict(zip(NUMBERS, registers, strict=True)))
        except OSError:
            return ""
        finally:
            if opened is not None:
                opened.close()
        more = " > too many stack frames\n" if len(places) == FRAME_LIMIT else ""
        return "".join(images.frame(place) for place in places) + more

    def forget(self, host_pid: int) -> None:
        """Forget a process that has ended."""
        self._images.pop(host_pid, None)
