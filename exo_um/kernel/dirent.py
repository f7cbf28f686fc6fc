"""Directory listings as getdents64(2) gives them.

A listing is handed to the guest as a memfd of records; the runtime serves getdents64 by reading
whole records at the file's offset, so d_off is the byte offset of the next record.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

DT_DIR = 4
DT_REG = 8
DT_LNK = 10

HEAD = struct.Struct("<QqHB")  # d_ino, d_off, d_reclen, d_type; d_name follows, NUL-terminated
ALIGNMENT = 8


class Entry:
    """One name of a directory; inode numbers need only be unequal to 0."""

    __slots__ = ("inode", "kind", "name")

    def __init__(self, name: bytes, kind: int, inode: int) -> None:
        self.name = name
        self.kind = kind
        self.inode = inode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {self.kind}, {self.inode})"

    def _key(self) -> tuple[bytes, int, int]:
        return self.name, self.kind, self.inode


def encode(entries: Iterable[Entry]) -> bytes:
    """Return entries as consecutive struct linux_dirent64. Source: getdents64(2)."""
    records = bytearray()
    for entry in entries:
        size = -(HEAD.size + len(entry.name) + 1) // ALIGNMENT * -ALIGNMENT
        end = len(records) + size
        records += HEAD.pack(entry.inode, end, size, entry.kind) + entry.name
        records += bytes(end - len(records))
    return bytes(records)
