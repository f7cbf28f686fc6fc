"""What a process's descriptors lead to, and where it looks for paths, as its calls tell."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from posix_x.decode.memory import PATH_LIMIT, string

if TYPE_CHECKING:
    from posix_x.decode.view import View

AT_FDCWD = -100
DUPLICATES = (0, 1030)  # F_DUPFD, F_DUPFD_CLOEXEC
FAMILIES = {1: "AF_UNIX", 2: "TCP", 10: "TCP", 16: "netlink"}
OPENS = {"open": 0, "creat": 0, "openat": 1, "openat2": 1}  # where the path stands


class Thing(NamedTuple):
    """What a descriptor leads to: kind is file, pipe, socket, packets, device or other."""

    kind: str
    name: str


UNKNOWN = Thing("other", "")


def inherited() -> dict[int, Thing]:
    """Return what a program's first three descriptors will be: ours."""
    return {fd: found for fd in range(3) if (found := _inherited(fd)) is not None}


def _inherited(fd: int) -> Thing | None:
    name = ("standard input", "standard output", "standard error")[fd]
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    for kind, is_kind in (
        ("file", stat.S_ISREG), ("pipe", stat.S_ISFIFO), ("socket", stat.S_ISSOCK),
        ("device", stat.S_ISCHR),
    ):  # fmt: skip
        if is_kind(mode):
            return Thing(kind, name)
    return Thing("other", name)


@dataclass
class Files:
    """One process's."""

    things: dict[int, Thing] = field(default_factory=inherited)
    directory: str = field(default_factory=os.getcwd)

    def copy(self) -> Files:
        """Return a child's."""
        return Files(dict(self.things), self.directory)

    def path(self, dirfd: int, path: str) -> str:
        """Return a path as seen from the root, as far as that is known."""
        if path.startswith("/"):
            return path
        base = self.directory if dirfd == AT_FDCWD else self.things.get(dirfd, UNKNOWN).name
        return os.path.normpath(f"{base or '?'}/{path}")

    def take(self, view: View) -> None:
        """Take note of what a call that has returned does to descriptors."""
        name, result = view.name, view.result
        if result is None or view.failed:
            return
        if name in OPENS:
            self.things[result] = self._opened(view, OPENS[name])
        elif name == "socket":
            self.things[result] = socket_of(view)
        elif name in ("accept", "accept4"):
            self.things[result] = self.things.get(view.i32(0), UNKNOWN)._replace(kind="socket")
        elif name in ("dup", "dup2", "dup3") or (name == "fcntl" and view.args[1] in DUPLICATES):
            self.things[result] = self.things.get(view.i32(0), UNKNOWN)
        elif name == "close":
            self.things.pop(view.i32(0), None)
        elif name in ("pipe", "pipe2"):
            self._pair(view, 0, Thing("pipe", "a pipe"))
        elif name == "socketpair":
            self._pair(view, 3, socket_of(view))
        elif name == "chdir":
            self.directory = self.path(AT_FDCWD, path_of(view, view.args[0]))
        elif name == "fchdir":
            self.directory = self.things.get(view.i32(0), UNKNOWN).name

    def _opened(self, view: View, index: int) -> Thing:
        dirfd = view.i32(0) if index else AT_FDCWD
        path = self.path(dirfd, path_of(view, view.args[index]))
        return Thing("device" if path.startswith("/dev/") else "file", path)

    def _pair(self, view: View, index: int, thing: Thing) -> None:
        data = view.after.peek(view.args[index], 8)
        for place in range(0, len(data), 4):
            self.things[int.from_bytes(data[place : place + 4], "little")] = thing


def socket_of(view: View) -> Thing:
    """Return what socket(2) or socketpair(2) makes."""
    family, packets = FAMILIES.get(view.i32(0), "other"), view.args[1] & 15 != 1
    name = "UDP" if packets and family == "TCP" else family
    article = "an" if name[0] in "Ao" else "a"
    if packets:
        return Thing("packets", f"{article} {name} socket of packets")
    return Thing("socket", f"{article} {name} socket")


def path_of(view: View, at: int) -> str:
    """Return the path that an argument leads to; empty if it was not to be read."""
    found = string(view.before, at, PATH_LIMIT) if at else None
    return os.fsdecode(found[0]) if found is not None else ""


@dataclass
class Lookup:
    """What became of one path."""

    count: int = 0
    failed: int = 0
    cycles: int = 0
    calls: set[str] = field(default_factory=set)


@dataclass
class Paths:
    """All paths that were looked up, by whomever."""

    lookups: dict[str, Lookup] = field(default_factory=dict)

    def add(self, name: str, path: str, failed: bool, cycles: int) -> None:
        """Count one."""
        lookup = self.lookups.setdefault(path, Lookup())
        lookup.count += 1
        lookup.failed += failed
        lookup.cycles += cycles
        lookup.calls.add(name)
