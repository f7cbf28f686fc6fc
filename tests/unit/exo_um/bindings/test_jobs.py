"""What the kernel process's workers do, done here: texts and directories of /proc, and the dead."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from exo_um.bindings import lib
from exo_um.bindings.jobs import (
    LIST_FDS,
    LIST_PIDS,
    LIST_TIDS,
    FindDead,
    Job,
    ListNumbers,
    copy_cmdline,
    copy_maps,
)
from exo_um.bindings.region import Region

NOBODY = 1 << 22  # a host pid that cannot be
DT_DIR, DT_LNK = 4, 10
FIRST_INODE = 1 << 20
HEAD = struct.Struct("<QqHB")
COPY_AT, COPY_OFFSET = 0x20000000, 0x1000
HOST = b"""\
00400000-00401000 r--p 00000000 fe:00 77                                 /bin/tool
00401000-00402000 r-xp 20014000 %(copies)s                         /memfd:exo-kr (deleted)
00402000-00403000 r--p 00002000 fe:00 77                                 /bin/tool
00403000-00404000 r-xp 20015000 %(copies)s                         /memfd:exo-kr (deleted)
004ac000-004c0000 r-xp 20000000 %(copies)s                         /memfd:exo-kr (deleted)
01000000-01001000 rw-p 00000000 00:00 0                                  [heap]
02000000-02001000 r-xp 20014000 %(copies)s                         /memfd:exo-kr (deleted)
7e9000000000-7e9000019000 r-xp 00000000 fe:00 9                          /lib/exo-guest
7e9000180000-7e9020180000 rw-s 00000000 00:01 5                          /memfd:exo-kr (deleted)
7f0000000000-7f0000001000 rw-p 00000000 00:00 0%(none)s
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
"""
GUEST = b"""\
00400000-00401000 r--p 00000000 fe:00 77                                 /bin/tool
00401000-00402000 r-xp 00001000 fe:00 77                                 /bin/tool
00402000-00403000 r--p 00002000 fe:00 77                                 /bin/tool
00403000-00404000 r-xp 00002000 fe:00 77                                 /bin/tool
01000000-01001000 rw-p 00000000 00:00 0                                  [heap]
02000000-02001000 r-xp 00001000 00:00 0%(none)s
7f0000000000-7f0000001000 rw-p 00000000 00:00 0%(none)s
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
""" % {b"none": b" "}


@pytest.fixture
def region() -> Iterator[Region]:
    region = Region()
    yield region
    os.close(region.fd)


def made(job: Job) -> bytes:
    """Return what a job has made; the file is to be read only."""
    fd = job.do()
    assert fd >= 0, os.strerror(-fd)
    with os.fdopen(fd, "rb") as file:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
        return file.read()


def with_copies(region: Region, text: bytes) -> bytes:
    """Put the device and inode of the region's copies into a text, and one copy into the region."""
    major, minor, inode = region.copies_id()
    copy = lib.exo_copy_at(region.kr, 0)
    copy.at, copy.text_offset, copy.text_size = COPY_AT, COPY_OFFSET, 0x2000
    region.kr.copy_count = 1
    return text % {b"copies": b"%02x:%02x %d" % (major, minor, inode), b"none": b" "}


def copied(region: Region, folder: Path, text: bytes) -> bytes:
    path = folder / "maps"
    path.write_bytes(text)
    return made(copy_maps(region, os.fsencode(path), b"exo:/proc/2/maps"))


def test_maps_are_the_guests(region: Region, tmp_path: Path) -> None:
    assert copied(region, tmp_path, with_copies(region, HOST)) == GUEST


def test_smaps_lose_whole_blocks(region: Region, tmp_path: Path) -> None:
    def with_sizes(text: bytes) -> bytes:
        return text.replace(b"\n", b"\nRss:       4 kB\nVmFlags: rd mr\n")

    host = with_sizes(with_copies(region, HOST))
    assert copied(region, tmp_path, host) == with_sizes(GUEST)


def test_long_maps(region: Region, tmp_path: Path) -> None:
    lines = [
        b"%08x-%08x rw-p 00000000 00:00 0 \n" % (i << 13, (i << 13) + 4096) for i in range(40000)
    ]
    ours = b"7e9000000000-7e9000019000 r-xp 00000000 fe:00 9 /lib/exo-guest\n"
    host = b"".join(lines[:30000]) + ours + b"".join(lines[30000:])
    assert copied(region, tmp_path, host) == b"".join(lines)


@pytest.mark.parametrize(
    "text", [b"", b"x\n", b"\n", b"-\n-\n", b"0-0\n", b"00400000-\n", b"0 0 0\n"]
)
def test_nonsense_does_no_harm(region: Region, tmp_path: Path, text: bytes) -> None:
    """Unlike anything that the host writes; as it is not understood, it stays."""
    assert copied(region, tmp_path, text) in (text, b"")


def test_half_a_line(region: Region, tmp_path: Path) -> None:
    path = tmp_path / "maps"
    path.write_bytes(b"00400000-0040")
    assert copy_maps(region, os.fsencode(path), b"x").do() == -errno.EIO


def test_own_maps(region: Region) -> None:
    text = made(copy_maps(region, b"/proc/self/maps", b"x"))
    assert text.endswith(b"[vsyscall]\n") or b"[stack]" in text


def test_gone(region: Region) -> None:
    for copy in (copy_maps, copy_cmdline):
        assert copy(region, b"/proc/%d/maps" % NOBODY, b"x").do() == -errno.ENOENT


@pytest.mark.parametrize(
    ("host", "guest"),
    [
        (b"exo1:1:-1:0\0/bin/sh\0sh\0-c\0true\0", b"sh\0-c\0true\0"),
        (b"sh\0-c\0", b"sh\0-c\0"),
        (b"exo1:1:-1:0\0/bin/sh\0", b""),
        (b"exo1:", b"exo1:"),
        (b"", b""),
    ],
)
def test_cmdline_is_the_guests(region: Region, tmp_path: Path, host: bytes, guest: bytes) -> None:
    path = tmp_path / "cmdline"
    path.write_bytes(host)
    assert made(copy_cmdline(region, os.fsencode(path), b"x")) == guest


def decode(records: bytes) -> list[tuple[bytes, int, int]]:
    """Read records back: names, types, inodes; each says where the next one begins."""
    found = []
    start = 0
    while start < len(records):
        inode, following, size, kind = HEAD.unpack_from(records, start)
        assert (following, size % 8) == (start + size, 0)
        found.append((records[start + HEAD.size : start + size].partition(b"\0")[0], kind, inode))
        start += size
    return found


def numbers(job: ListNumbers) -> list[int]:
    entries = decode(made(job))
    assert entries[:2] == [(b".", DT_DIR, FIRST_INODE), (b"..", DT_DIR, FIRST_INODE)]
    assert all(inode == FIRST_INODE + int(name) for name, _, inode in entries[2:])
    return [int(name) for name, _, _ in entries[2:]]


def listed(region: Region, what: int, slot: int, kind: int = DT_DIR) -> ListNumbers:
    return ListNumbers(region, b"x", what, slot, (FIRST_INODE, kind))


def create(region: Region, parent: int = 0, *, thread: bool = False) -> int:
    slot: int = lib.exo_task_create(region.kr, parent, thread)
    region.kr.tasks[slot].state = lib.EXO_TASK_ALIVE
    return slot


def test_tasks_are_listed(region: Region) -> None:
    first = create(region)
    other = create(region)
    threads = [create(region, first, thread=True) for _ in range(3)]
    tid = region.kr.tasks[first].tid
    assert numbers(listed(region, LIST_PIDS, 0)) == [1, tid, tid + 1]
    assert numbers(listed(region, LIST_TIDS, first)) == [tid, *range(tid + 2, tid + 5)]
    assert numbers(listed(region, LIST_TIDS, other)) == [tid + 1]
    assert numbers(listed(region, LIST_TIDS, 0)) == [1]
    lib.exo_task_free(region.kr, threads[1])
    assert numbers(listed(region, LIST_TIDS, first)) == [tid, tid + 2, tid + 4]


def test_fds_are_listed(region: Region) -> None:
    slot = create(region)
    table = region.kr.tasks[slot].fd_table = region.table_create()
    for fd in (0, 2, 7, 2000):
        region.table_install(table, fd, 0)
    job = listed(region, LIST_FDS, slot, DT_LNK)
    assert numbers(job) == [0, 2, 7, 2000]
    job.add(1)
    assert numbers(job) == [0, 1, 2, 7, 2000]
    job.add(2)
    assert numbers(job) == [0, 2, 7, 2000]
    assert numbers(listed(region, LIST_FDS, 0)) == [], "the kernel process shows none"
    for offset in (1, region.kr.size, (1 << 64) - 8):
        region.kr.tasks[slot].fd_table = offset
        assert numbers(listed(region, LIST_FDS, slot)) == []


def test_a_hosts_names_come_first(region: Region, tmp_path: Path) -> None:
    for name in ("12", "1x", "name", "a" * 255):
        (tmp_path / name).mkdir()
    job = listed(region, LIST_PIDS, 0)
    job.add_host(os.fsencode(tmp_path))
    entries = decode(made(job))
    assert {(name, inode) for name, _, inode in entries[2:-1]} == {
        (name.encode(), (tmp_path / name).stat().st_ino) for name in ("1x", "name", "a" * 255)
    }
    assert entries[-1] == (b"1", DT_DIR, FIRST_INODE + 1)
    job.add_host(b"/nowhere")
    assert job.do() == -errno.ENOENT


def test_the_dead_are_found(region: Region) -> None:
    alive, zombie, dead = (create(region) for _ in range(3))
    for slot, pid in ((alive, os.getpid()), (zombie, os.getpid()), (dead, NOBODY)):
        lib.exo_task_set_host(region.kr, slot, pid, pid)
    job = FindDead(region)
    assert job.do() == 1
    assert job.found(1) == [(dead, region.kr.tasks[dead].tid, NOBODY)]
    unborn = create(region)
    assert job.do() == 2
    assert job.found(2)[1] == (unborn, region.kr.tasks[unborn].tid, 0)
    for _ in range(FindDead.limit):
        create(region)
    assert job.do() == FindDead.limit


def test_no_such_job(region: Region) -> None:
    assert Job(region, lib.EXO_JOB_KINDS).do() == -errno.EINVAL
