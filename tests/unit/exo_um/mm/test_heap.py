"""Heaps from Python: the C core and numba on the same memory, with and without its compiler."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from plainpython import IS_PLAIN, run_plain

from exo_um.bindings.shared import Shared
from exo_um.mm import alloc_jit
from exo_um.mm.heap import Heap, HeapUser, slow_calls

SIZE = 16 << 20
ALLOC, FREE = slow_calls()


def native_alloc(user: HeapUser, size: int) -> int:
    return user.alloc(size)


def jit_alloc(user: HeapUser, size: int) -> int:
    offset = alloc_jit.alloc(user.address, size, ALLOC)
    assert offset > 0, os.strerror(-offset)
    return offset


def native_free(user: HeapUser, offset: int) -> None:
    user.free(offset)


def jit_free(user: HeapUser, offset: int) -> None:
    assert alloc_jit.free(user.address, offset, FREE) == 0


@pytest.mark.parametrize("free", [native_free, jit_free])
@pytest.mark.parametrize("alloc", [native_alloc, jit_alloc])
def test_objects(
    alloc: Callable[[HeapUser, int], int], free: Callable[[HeapUser, int], None]
) -> None:
    """Objects keep what is written to them, and all memory comes back."""
    heap = Heap.create(SIZE)
    user = heap.attach(1)
    numbers = random.Random(3)
    live: dict[int, bytes] = {}
    for _ in range(3000):
        if live and numbers.random() < 0.48:
            offset, text = live.popitem()
            assert bytes(user.buffer(offset, len(text))) == text
            free(user, offset)
        else:
            text = numbers.randbytes(numbers.choice((1, 16, 60, 64, 700, 2048, 8192, 20000)))
            offset = alloc(user, len(text))
            assert offset % 16 == 0
            assert offset not in live
            user.buffer(offset, len(text))[:] = text
            live[offset] = text
    for offset in live:
        free(user, offset)
    user.trim()
    stats = user.stats()
    assert (stats.large, stats.slabs, stats.dirty, stats.cached) == (0, 0, 0, 0)
    heap.shared.close()


def test_errors() -> None:
    heap = Heap.create(SIZE, owners=4)
    user, nobody = heap.attach(1), heap.attach()
    with pytest.raises(OSError, match="Invalid"):
        heap.attach(4)
    with pytest.raises(OSError, match="Cannot allocate"):
        user.alloc(SIZE)
    with pytest.raises(OSError, match="aligned"):
        user.alloc(1, 24)
    with pytest.raises(OSError, match="no object"):
        user.free(SIZE)
    assert alloc_jit.alloc(user.address, SIZE, ALLOC) == -errno.ENOMEM
    assert alloc_jit.alloc(user.address, -1, ALLOC) == -errno.ENOMEM
    for bad in (0, -16, 7, SIZE, SIZE * 5, 4096):
        assert alloc_jit.free(user.address, bad, FREE) == -errno.EFAULT
    offset = alloc_jit.alloc(nobody.address, 64, ALLOC)
    assert nobody.usable(offset) == 64
    assert alloc_jit.free(nobody.address, offset, FREE) == 0
    assert alloc_jit.free(nobody.address, offset, FREE) == -errno.EALREADY
    assert user.alloc(100, 256) % 256 == 0
    assert bytes(user.buffer(user.alloc_zeroed(5000), 5000)) == bytes(5000)
    with pytest.raises(OSError, match="bytes at"):
        user.buffer(offset, 65)


def test_no_heap() -> None:
    shared = Shared.create(SIZE)
    shared.buffer(0, 1)[:] = b"x"
    with pytest.raises(OSError, match="no heap"):
        Heap(shared)
    with pytest.raises(OSError, match="Invalid"):
        Heap.create(1 << 16)


@pytest.mark.parametrize("alloc", [native_alloc, jit_alloc])
def test_poison(alloc: Callable[[HeapUser, int], int]) -> None:
    user = Heap.create(SIZE, poison=True).attach(1)
    offset = alloc(user, 100)
    user.buffer(offset, 100)[:] = bytes(100)
    with pytest.raises(OSError, match="no object"):
        user.free(offset + 16)
    user.free(offset)
    with pytest.raises(OSError, match="double free"):
        user.free(offset)
    assert alloc_jit.free(user.address, offset, FREE) == -errno.EALREADY
    offset = alloc(user, 100)
    memory = user.heap.shared.buffer(offset, 128)
    memory[100] = b"!"
    with pytest.raises(OSError, match="beyond"):
        user.free(offset)
    memory[100] = b"\xfd"
    user.free(offset)
    memory[5] = b"!"
    with pytest.raises(OSError, match="after free"):
        user.alloc(100)


CHILD = """
import sys
from exo_um.bindings.shared import Shared
from exo_um.mm import alloc_jit
from exo_um.mm.heap import Heap, slow_calls

heap = Heap(Shared(int(sys.argv[1])))
user = heap.attach(2)
alloc, free = slow_calls()
first = alloc_jit.alloc(user.address, 64, alloc)
user.buffer(first, 5)[:] = b"child"
print(first, flush=True)
while True:
    for kind in (32, 64, 500, 3000):
        alloc_jit.free(user.address, alloc_jit.alloc(user.address, kind, alloc), free)
"""


def test_killed_process() -> None:
    """What numba in another process has cached comes back when it is killed; its objects stay."""
    heap = Heap.create(SIZE)
    user = heap.attach(1)
    fd = heap.shared.fd
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, str(fd)], pass_fds=[fd], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    offset = int(child.stdout.readline())
    mine = [user.alloc(64) for _ in range(200)]
    assert offset not in mine
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert heap.bury(2) > 0
    assert bytes(user.buffer(offset, 5)) == b"child"
    for each in (offset, *mine):
        user.free(each)
    user.trim()
    assert user.stats().slabs <= 2 * 65536  # one object may have been in its hand
    child.stdout.close()


@pytest.mark.skipif(IS_PLAIN, reason="this is that run")
def test_plain_python() -> None:
    run_plain(__file__)
