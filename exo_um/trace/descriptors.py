"""What -y shows of a descriptor: a file's path; with -yy a socket's addresses, a device's number.

Guests' runtimes tell of it with the call (struct exo_fd_told); of the host's tasks /proc does.
Which socket is connected with which the host tells, by sock_diag(7).
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from exo_um.trace.sockdiag import PROTOCOLS, Address, peer_of_unix, socket_of_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from posix_x.decode.memory import Snippets

TOLD = struct.Struct("<6I2Q2H112s112s4x")
PIECE = 0xFFFF00000000
LINK_ROOM = 4096
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM = 1
NAMES = {17: "PACKET", 31: "BLUETOOTH", 38: "ALG", 40: "VSOCK", 44: "XDP"}
AT_FDCWD = -100


class Told(NamedTuple):
    """A descriptor's link, mode, and device or socket."""

    link: str
    mode: int = 0
    device: tuple[int, int] = (0, 0)
    family: int = 0
    type: int = 0
    protocol: int = 0
    local: bytes = b""
    remote: bytes = b""
    peer: int = 0  # inode of the socket with which it is connected
    word: str = ""  # the protocol's name, of the host's sockets


class Runtimes:
    """What runtimes tell of descriptors. Of sockets it is remembered which inode each has."""

    def __init__(self, whole: bool) -> None:
        """Show it as -y has it; whole: as -yy."""
        self._whole = whole
        self._inodes: dict[int, int] = {}  # of exo's sockets, by generation
        self._peers: dict[int, int] = {}  # with whom they are or were connected

    def of_event(self, before: Snippets, after: Snippets) -> Callable[[int, bool], str]:
        """Return what names descriptors, by what was told of them with a call."""
        told = [self._learn(memory.above(PIECE)) for memory in (before, after)]

        def text(fd: int, late: bool) -> str:
            at = PIECE | (fd & 0xFFFFFFFF)
            first, second = told[late], told[not late]
            data = first.get(at) or second.get(at)
            return text_of(self._told(data), self._whole) if data else ""

        return text

    def _learn(self, pieces: dict[int, bytes]) -> dict[int, bytes]:
        for data in pieces.values():
            generation, peer = TOLD.unpack_from(data)[6:8]
            if peer:
                self._peers[generation] = peer
            if generation and data[TOLD.size : TOLD.size + 8] == b"socket:[":
                self._inodes[generation] = int(data[TOLD.size + 8 : -1])
        return pieces

    def _told(self, data: bytes) -> Told:
        found = TOLD.unpack_from(data)
        mode, major, minor, family, type_, protocol, own, _, here, there, local, remote = found
        link = os.fsdecode(data[TOLD.size :])
        inode = self._inodes.get(self._peers.get(own, 0), 0)
        if family == AF_UNIX and there and not inode and self._whole:
            inode = peer_of_unix(int(link[8:-1]))
        return Told(
            link, mode, (major, minor), family, type_, protocol, local[:here], remote[:there],
            inode,
        )  # fmt: skip


def text_of(told: Told, whole: bool) -> str:
    """Return what stands behind a descriptor's number; whole: as -yy has it."""
    link, deleted = told.link.removesuffix(" (deleted)"), told.link.endswith(" (deleted)")
    if link.startswith("/memfd:exo:/"):  # a file below /proc that exo has made
        link, deleted = link.removeprefix("/memfd:exo:"), False
    if whole and link.startswith("socket:[") and (told.family or told.word):
        return f"<{_socket(told, int(link[8:-1]))}>"
    kinds = {stat.S_IFCHR: "char", stat.S_IFBLK: "block"}
    kind = kinds.get(stat.S_IFMT(told.mode)) if whole else None
    shown = "{}<{} {}:{}>".format(link, kind, *told.device) if kind else link
    return f"<{shown}>" + ("(deleted)" if deleted else "")


def _socket(told: Told, inode: int) -> str:
    if told.family in (AF_INET, AF_INET6):
        word: str | None = "RAW" if told.type == 3 else PROTOCOLS.get(told.protocol)
        local, remote = Address.of(told.local), Address.of(told.remote)
        if word is None:
            return told.link
        word += "v6" if told.family == AF_INET6 else ""
        if local is None or not local.port:
            return f"{word}:[{inode}]"
        return f"{word}:[{local}" + (f"->{remote}]" if remote is not None else "]")
    if told.family == AF_UNIX:
        return _unix(told, inode)
    if told.family == AF_NETLINK:
        return _netlink(told, inode)
    word = told.word or NAMES.get(told.family)
    return f"{word}:[{inode}]" if word else told.link


def _unix(told: Told, inode: int) -> str:
    from posix_x.decode.text import escaped

    shown = f"{inode}->{told.peer}" if told.peer else str(inode)
    path = told.local[2:]
    if path[:1] == b"\0":
        shown += f',@"{escaped(path[1:])}"'
    elif path:
        shown += f',"{escaped(path.split(bytes(1))[0])}"'
    return f"UNIX{'-STREAM' if told.type == SOCK_STREAM else ''}:[{shown}]"


def _netlink(told: Told, inode: int) -> str:
    from posix_x.table.rows import SETS

    pid = int.from_bytes(told.local[4:8], "little")
    name = SETS["netlink_protocol"][2].get(told.protocol, "")
    return f"NETLINK:[{name.removeprefix('NETLINK_')}:{pid}]" if pid and name else (
        f"NETLINK:[{inode}]"
    )  # fmt: skip


def of_task(tid: int, whole: bool) -> Callable[[int, bool], str]:
    """Return what names the descriptors of a task of the host's, each once before a call's end."""
    known: dict[tuple[int, bool], str] = {}

    def text(fd: int, late: bool) -> str:
        if (fd, late) not in known:
            known[fd, late] = _text_of_host(tid, fd, whole)
        return known[fd, late]

    return text


def _text_of_host(tid: int, fd: int, whole: bool) -> str:
    place = Path(f"/proc/{tid}/cwd" if fd == AT_FDCWD else f"/proc/{tid}/fd/{fd}")
    try:
        told = Told(str(place.readlink()))
        if whole and told.link.startswith("socket:["):
            word = os.getxattr(place, "system.sockprotoname").rstrip(bytes(1)).decode()
            told = Told(told.link, 0, (0, 0), *socket_of_host(int(told.link[8:-1]), word), word)
        elif whole:
            status = place.stat()
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            told = Told(told.link, status.st_mode, device)
    except OSError:
        return ""
    return text_of(told, whole)
