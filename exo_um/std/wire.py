"""Messages between spawn() and its workers: bytes and descriptors, over an AF_UNIX stream."""

from __future__ import annotations

import array
import os
import socket
import struct

_HEAD = struct.Struct("<II")
_FDS_MAX = 250  # SCM_MAX_FD is 253


def send(sock: socket.socket, data: bytes | bytearray, fds: list[int]) -> None:
    """Send a message. Errors: ValueError, too many descriptors; those of sendmsg(2)."""
    if len(fds) > _FDS_MAX:
        raise ValueError(f"{len(fds)} descriptors in one message")
    head = _HEAD.pack(len(data), len(fds))
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    sock.sendmsg([head], [rights] if fds else [])
    sock.sendall(data)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = sock.recv_into(view[done:])
        if count == 0:
            raise EOFError
        done += count
    return bytes(data)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a message; descriptors are the caller's. Errors: EOFError, the other end is gone."""
    space = socket.CMSG_SPACE(_FDS_MAX * 4)
    head, ancillary, _, _ = sock.recvmsg(_HEAD.size, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data[: len(data) // 4 * 4])
    try:
        if not head:
            raise EOFError
        head += _exactly(sock, _HEAD.size - len(head))
        size, count = _HEAD.unpack(head)
        if count != len(fds):
            raise EOFError
        return _exactly(sock, size), list(fds)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
