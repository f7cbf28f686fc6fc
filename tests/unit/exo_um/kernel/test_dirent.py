"""getdents64 records."""

from __future__ import annotations

from exo_um.kernel.dirent import DT_DIR, DT_LNK, HEAD, Entry, encode


def decode(records: bytes) -> list[tuple[bytes, int, int, int, int]]:
    """Read records back: name, type, inode, offset of the next, offset of this."""
    found = []
    start = 0
    while start < len(records):
        inode, following, size, kind = HEAD.unpack_from(records, start)
        name = records[start + HEAD.size : start + size].partition(b"\0")[0]
        found.append((name, kind, inode, following, start))
        start += size
    return found


def test_records_are_aligned_chained_and_terminated() -> None:
    entries = [Entry(b"x" * size, DT_DIR, 10 + size) for size in range(1, 40)]
    records = encode(entries)
    found = decode(records)
    assert [(name, kind, inode) for name, kind, inode, _, _ in found] == [
        (entry.name, entry.kind, entry.inode) for entry in entries
    ]
    starts = [start for *_, start in found]
    assert [following for *_, following, _ in found] == [*starts[1:], len(records)]
    assert all(start % 8 == 0 for start in starts)


def test_head_has_linux_layout() -> None:
    assert HEAD.size == 19
    assert encode([Entry(b"self", DT_LNK, 7)]) == (
        b"\x07\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0\x18\0\x0aself\0"
    )


def test_nothing() -> None:
    assert encode([]) == b""
