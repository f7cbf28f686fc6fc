"""Asks the host about its sockets by inode: sock_diag(7), over a netlink socket."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
NLM_F_REQUEST, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR = 1, 0x300, 3, 2
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP", 136: "UDPLITE"}
UNIX_SHOW = 1 | 4  # UDIAG_SHOW_NAME, UDIAG_SHOW_PEER
UNIX_NAME, UNIX_PEER = 0, 2
HEAD = struct.Struct("<IHHII")
ANY = 0xFFFFFFFF
TYPES = {6: 1, 17: 2, 136: 2}  # of sockets, by protocol
# Family, type, protocol, local and remote sockaddr, the peer's inode.
Found = tuple[int, int, int, bytes, bytes, int]


class Address(NamedTuple):
    """Host and port of an Internet address."""

    host: str
    port: int

    def __str__(self) -> str:
        """As strace writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, data: bytes) -> Address | None:
        """Return that of a struct sockaddr; None: it is none."""
        family, port = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "big")
        if family == AF_INET and len(data) >= 8:
            return cls(socket.inet_ntoa(data[4:8]), port)
        if family == AF_INET6 and len(data) >= 24:
            return cls(socket.inet_ntop(AF_INET6, data[8:24]), port)
        return None


def _ask(request: bytes, flags: int) -> Iterator[bytes]:
    """Give the bodies of the answers. Errors: OSError."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG) as link:
        size = HEAD.size + len(request)
        head = HEAD.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | flags, 1, 0)
        link.send(head + request)
        while True:
            data = link.recv(1 << 16)
            while len(data) >= HEAD.size:
                size, kind, *_ = HEAD.unpack_from(data)
                if kind in (NLMSG_DONE, NLMSG_ERROR) or size < HEAD.size:
                    return
                yield data[HEAD.size : size]
                data = data[(size + 3) & ~3 :]
            if not flags:
                return


def _unix(inode: int) -> tuple[int, int, bytes]:
    """Return an AF_UNIX socket's type, its peer's inode, 0 none, and its name. Errors: OSError."""
    request = struct.pack("<BBHIIIII", AF_UNIX, 0, 0, ANY, inode, UNIX_SHOW, ANY, ANY)
    for body in _ask(request, 0):
        found = {}
        place = 16
        while place + 4 <= len(body):
            size, kind = struct.unpack_from("<HH", body, place)
            if size < 4:
                break
            found[kind] = body[place + 4 : place + size]
            place += (size + 3) & ~3
        peer = int.from_bytes(found.get(UNIX_PEER, b""), "little")
        return body[1], peer, found.get(UNIX_NAME, b"")
    return 0, 0, b""


def peer_of_unix(inode: int) -> int:
    """Return the inode of the other side of an AF_UNIX socket of the host's; 0: none is known."""
    try:
        return _unix(inode)[1]
    except OSError:
        return 0


def _internet(inode: int, family: int, protocol: int) -> Found:
    request = struct.pack("<BBBBI", family, protocol, 0, 0, ANY) + bytes(48)
    for body in _ask(request, NLM_F_DUMP):
        if len(body) < 72 or int.from_bytes(body[68:72], "little") != inode:
            continue
        half, gap = (4, b"") if family == AF_INET else (16, bytes(4))
        start = struct.pack("<H", family)
        local = start + body[4:6] + gap + body[8 : 8 + half]
        remote = start + body[6:8] + gap + body[24 : 24 + half]
        connected = remote if any(body[6:8]) else b""
        return family, TYPES[protocol], protocol, local, connected, 0
    return family, TYPES[protocol], protocol, b"", b"", 0


def _netlink(inode: int) -> Found:
    for body in _ask(struct.pack("<BBHIIII", AF_NETLINK, 0xFF, 0, 0, 0, 0, 0), NLM_F_DUMP):
        family, _, protocol, _, pid, _, _, found = struct.unpack_from("<4B4I", body)
        if found == inode:
            return family, 0, protocol, struct.pack("<HHI", family, 0, pid), b"", 0
    return AF_NETLINK, 0, 0, b"", b"", 0


_peers: dict[int, int] = {}  # of those that were ever connected: they stay so to strace


def socket_of_host(inode: int, word: str) -> Found:
    """Return what the host knows of a socket whose protocol is called so. Errors: OSError."""
    protocol = next((n for n, name in PROTOCOLS.items() if word.removesuffix("v6") == name), 0)
    if protocol in TYPES:
        return _internet(inode, AF_INET6 if word.endswith("v6") else AF_INET, protocol)
    if word == "NETLINK":
        return _netlink(inode)
    if not word.startswith("UNIX"):
        return 0, 0, 0, b"", b"", 0
    type_, peer, name = _unix(inode)
    peer = _peers.setdefault(inode, peer) if peer else _peers.get(inode, 0)
    type_ = 1 if word.endswith("STREAM") else type_
    return AF_UNIX, type_, 0, struct.pack("<H", AF_UNIX) + name, b"", peer
