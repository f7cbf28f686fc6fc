"""The kernel region of a running instance, read from outside, and whether it is in order.

Not a test. What it knows of the layout comes from native/include/exo/abi.h through the bindings.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import itertools
import mmap
import os
import socket
import termios
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exo_um.bindings import ffi, lib

TID_MASK = 0x3FFFFFFF
ENDS_BITS = 22  # of exo_object.ends
PAGE = 4096
UNIT = 64
BLOCKS_MOST = 100_000  # of the heap: a chain that is longer goes round
SYS_PIDFD_GETFD = 438


def region_file(kernel_pid: int) -> str:
    """Return the path of the region's memfd."""
    for entry in Path(f"/proc/{kernel_pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            if str(entry.readlink()).startswith("/memfd:exo-kr"):
                return str(entry)
    raise ProcessLookupError(kernel_pid)


class ChangingError(Exception):
    """The region was not of one piece when it was read, or never is."""


def where_is(pid: int) -> str:
    """What the host says of a process: its state, where it sleeps, its system call."""
    found = []
    for name in ("stat", "wchan", "syscall"):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text().strip()
        except OSError as error:
            found.append(error.strerror or "?")
        else:
            found.append(text.rpartition(")")[2].split()[0] if name == "stat" else text)
    return ", ".join(found)


class LiveRegion:
    """Maps the region of the instance whose kernel process is kernel_pid, read-only."""

    def __init__(self, kernel_pid: int) -> None:
        self.kernel_pid = kernel_pid
        fd = os.open(region_file(kernel_pid), os.O_RDONLY)
        size = ffi.sizeof("struct exo_kr")
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)
        self._bytes = ffi.from_buffer(self._map)
        self.kr: Any = ffi.cast("struct exo_kr *", self._bytes)
        self.far_heap = (ffi.offsetof("struct exo_kr", "far_heap") + PAGE - 1) // PAGE * PAGE

    @property
    def slot_count(self) -> int:
        """How many slots there are, the kernel process's included."""
        return int(lib.EXO_TASK_COUNT)

    def host_tid(self, tid: int) -> int:
        """Return the host's number of an exo task, 0 while it has none."""
        return next((self.kr.tasks[i].host_tid for i in self.slots() if self._ids(i).tid == tid), 0)

    def _ids(self, slot: int) -> Any:
        return self.kr.ids[lib.EXO_TASK_COUNT - 1 - slot]

    def slots(self) -> list[int]:
        """Return the slots that are not free, without the kernel process's."""
        tasks = self.kr.tasks
        return [i for i in range(1, self.kr.task_high) if tasks[i].state != lib.EXO_TASK_FREE]

    def problems(self) -> list[str]:
        """What is not as it is when nothing but the first guest runs, and that sleeps."""
        try:
            return [*self._task_problems(), *self._pipe_problems(), *self._heap_problems()]
        except ChangingError as error:
            return [str(error)]

    def where_all_are(self) -> list[str]:
        """Say of the kernel process and of each task what the host does: for who has problems."""
        hosts = {i: self.kr.tasks[i].host_tid for i in self.slots()}
        lines = [f"slot {i}: host {pid}: {where_is(pid)}" for i, pid in hosts.items()]
        return [f"kernel process: {where_is(self.kernel_pid)}", *lines]

    def _task_problems(self) -> list[str]:
        slots = self.slots()
        found = [f"slot {i}: {self._describe(i)}" for i in slots if self.kr.tasks[i].tid != 2]
        for i in range(1, self.kr.task_high):
            task, frame = self.kr.tasks[i], self.kr.frames[i]
            if i not in slots and (self._ids(i).tid or self._ids(i).host_tid):
                found.append(f"slot {i}: free, but found by a number")
            if task.call_posted or frame.state != lib.EXO_FRAME_IDLE:
                found.append(f"slot {i}: frame in state {frame.state:#x}, {task.call_posted}")
        found += [f"{name}: owned by {owner}" for name, owner in self._lock_owners() if owner]
        if self.kr.left_behind:
            found.append("left_behind is set")
        if waiting := self.channel_bytes():
            found.append(f"channel: a message of {waiting} bytes")
        return found

    def _pipe_problems(self) -> list[str]:
        ends: Counter[tuple[int, bool]] = Counter()
        for offset in {self.kr.tasks[i].fd_table for i in self.slots()} - {0}:
            table = self._table(offset)
            entries = self._at("struct exo_fd", table.entries, table.used)
            for entry in entries[0 : table.used]:
                if entry.host >= 0 and entry.flags & lib.EXO_FD_PIPE:
                    ends[entry.stamp, bool(entry.flags & lib.EXO_FD_PIPE_WRITES)] += 1
        found = []
        for i in range(1, self.kr.object_high[lib.EXO_KIND_PIPE] + 1):
            pipe = self.kr.pipes[i]
            mask = (1 << ENDS_BITS) - 1
            counts = pipe.ends & mask, pipe.ends >> ENDS_BITS & mask
            if pipe.mode == lib.EXO_PIPE_FREE and not ends[i, False] + ends[i, True]:
                continue
            if counts != (ends[i, False], ends[i, True]) or sum(counts) == 0:
                found.append(
                    f"pipe {i}: mode {pipe.mode}, {counts}, {ends[i, False]}, {ends[i, True]}"
                )
            if pipe.lock.word & TID_MASK:
                found.append(f"pipe {i}: locked by {pipe.lock.word & TID_MASK}")
        return found

    def _describe(self, slot: int) -> str:
        task = self.kr.tasks[slot]
        return (
            f"state {task.state}, tid {task.tid}, ppid {task.ppid}, host {task.host_tid}, "
            f"parent slot {task.parent_slot}, leader slot {task.leader_slot}, "
            f"alive {task.alive.word:#x}"
        )

    def _lock_owners(self) -> Iterator[tuple[str, int]]:
        for name in ("task_lock", "table_lock", "image_lock", "object_lock"):
            yield name, getattr(self.kr, name).word & TID_MASK
        for slot in self.slots():
            if offset := self.kr.tasks[slot].fd_table:
                yield f"table of slot {slot}", self._table(offset).lock.word & TID_MASK

    def _at(self, kind: str, offset: int, count: int = 1) -> Any:
        """Guests go on while we look: what was free a moment ago may hold anything now."""
        if offset % UNIT or offset + ffi.sizeof(kind) * count > len(self._map):
            raise ChangingError(f"nothing can be at {offset:#x}")
        return ffi.cast(f"{kind} *", self._bytes + offset)

    def _table(self, offset: int) -> Any:
        return self._at("struct exo_fd_table", offset)

    def _next(self, offset: int) -> int:
        return int(self._at("uint64_t", offset)[0])

    def _blocks(self, users: Counter[int]) -> Iterator[tuple[int, int, str]]:
        """Give every block that is free or used: offset, size, what it is."""
        table_size = -(-ffi.sizeof("struct exo_fd_table") // UNIT) * UNIT
        sizes = [
            (lib.EXO_FD_BASE_COUNT << i) * ffi.sizeof("struct exo_fd")
            for i in range(lib.EXO_TABLE_CLASS_COUNT)
        ]
        at = self.kr.free_tables
        while at:
            yield at, table_size, "free table"
            at = self._table(at).next_free
        for i, size in enumerate(sizes):
            at = self.kr.free_arrays[i]
            while at:
                yield at, size, f"free array of class {i}"
                at = self._next(at)
        for offset in users:
            table = self._table(offset)
            yield offset, table_size, "table"
            if table.class_ >= len(sizes):
                yield offset, table_size, f"table of class {table.class_:#x}"
                continue
            yield table.entries, sizes[table.class_], "array"
            for i in range(table.class_):
                if table.outgrown[i]:
                    yield table.outgrown[i], sizes[i], "outgrown array"

    def _heap_problems(self) -> list[str]:
        tasks = self.kr.tasks
        users = Counter(tasks[i].fd_table for i in self.slots() if tasks[i].fd_table)
        found = [
            f"table {offset:#x} has {self._table(offset).users} users, not {count}"
            for offset, count in users.items()
            if self._table(offset).users != count
        ]
        end = UNIT
        for at, size, what in sorted(itertools.islice(self._blocks(users), BLOCKS_MOST)):
            if at >= self.far_heap > end:
                end = self.far_heap  # the near part's rest was too small for what was wanted
            if at != end:
                how = "lost" if at > end else "in use twice"
                found.append(f"heap: {at - end} bytes {how} before the {what} at {at:#x}")
            end = at + size
        if end != self.kr.heap_next:
            found.append(f"heap: {self.kr.heap_next - end} bytes lost at the end")
        return found

    def channel_bytes(self) -> int:
        """Size of the next message on the channel that nobody has taken."""
        first = self.host_tid(2)
        pidfd = os.pidfd_open(first)
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, lib.EXO_FD_CHANNEL, 0)
        os.close(pidfd)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        with socket.socket(fileno=fd) as channel:
            size = array.array("i", [0])
            fcntl.ioctl(channel, termios.FIONREAD, size)
        return size[0]


def kernel_fds(kernel_pid: int) -> list[str]:
    """What the fds of the kernel process stand for, sorted.

    But for modules that it imports now, and what it serves `exo-um ps` with: anybody may ask.
    """
    found = []
    for entry in Path(f"/proc/{kernel_pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.readlink())
    own = [str(path) for path in found if not is_import(path)]
    return sorted(path for path in own if path != "anon_inode:[eventpoll]")


def is_import(path: Path) -> bool:
    """Whether a path is a module's, or a folder's where modules are looked for."""
    folder = path.is_dir() and not {"exo_um", "posix_x"}.isdisjoint(path.parts)
    return folder or path.suffix in (".py", ".pyc")
