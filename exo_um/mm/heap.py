"""Heaps in shared memory as Python objects; objects are named by their offset in the heap.

Served by the C core; jitted programs call exo_um.mm.alloc_jit with `HeapUser.address` instead.
Nothing here imports numba.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class HeapStats:
    """What a heap consists of, in bytes, and how often each level served (native/core/alloc.h).

    Hits of caches are counted only by libexo_malloc, when it is asked to.
    """

    size: int
    resident: int
    large: int
    slabs: int
    slab_free: int
    returned: int
    cached: int
    dirty: int
    hits: int
    misses: int
    fresh: int
    frees: int
    spills: int
    larges: int


def _checked(result: int) -> int:
    """Return a result, or raise the OSError, with what the allocator says about it."""
    if result >= 0:
        return result
    complaint = lib.exo_heap_complaint(result)
    text = os.strerror(-result) if complaint == ffi.NULL else ffi.string(complaint).decode()
    raise OSError(-result, text)


def slow_calls() -> tuple[int, int]:
    """Return the addresses of the C functions behind alloc_jit.alloc() and free()."""
    return (
        int(ffi.cast("uintptr_t", lib.exo_alloc_call)),
        int(ffi.cast("uintptr_t", lib.exo_free_slow)),
    )


class HeapUser:
    """One owner's way to a heap: to be used by one thread at a time."""

    __slots__ = ("_user", "heap", "owner")

    def __init__(self, heap: Heap, owner: int) -> None:
        self.heap = heap
        self.owner = owner
        self._user: Any = ffi.new("struct exo_heap_user *")
        check(lib.exo_heap_attach(self._user, heap.struct, heap.mapped, owner))

    @property
    def address(self) -> int:
        """Where the struct exo_heap_user is, for exo_um.mm.alloc_jit."""
        return int(ffi.cast("uintptr_t", self._user))

    def _found(self, offset: int) -> int:
        return offset if offset != 0 else _checked(self._user.error)

    def alloc(self, size: int, align: int = 16) -> int:
        """Return the offset of a new object.

        align: a power of two of up to 4096 bytes. Errors: EINVAL, ENOMEM, in poison mode EUCLEAN.
        """
        if size < 0 or align < 1 or align & (align - 1) or align > 4096:
            raise OSError(errno.EINVAL, f"{size} bytes, aligned to {align}")
        return self._found(int(lib.exo_alloc_aligned(self._user, size, align)))

    def alloc_zeroed(self, size: int) -> int:
        """Return the offset of a new object of zeros. Errors: EINVAL, ENOMEM, EUCLEAN."""
        if size < 0:
            raise OSError(errno.EINVAL, f"{size} bytes")
        return self._found(int(lib.exo_alloc_zeroed(self._user, size)))

    def free(self, offset: int) -> None:
        """Free an object.

        Errors: EFAULT, there is none; in guard mode EALREADY, it is free, and EOVERFLOW, somebody
        has written beyond its end.
        """
        _checked(lib.exo_free(self._user, offset))

    def usable(self, offset: int) -> int:
        """Return how many bytes an object has room for. Errors: EFAULT, there is none."""
        size = int(lib.exo_heap_usable(self._user, offset))
        return size if size != 0 else _checked(-errno.EFAULT)

    def buffer(self, offset: int, size: int) -> Any:
        """Return a writable buffer over the first bytes of an object. Errors: EFAULT, too many."""
        if size > self.usable(offset):
            raise OSError(errno.EFAULT, f"{size} bytes at {offset}")
        return ffi.buffer(self._user.base + offset, size)

    def repair(self) -> int:
        """Take back what owners that are dead had cached; how many objects."""
        return int(lib.exo_heap_repair(self._user))

    def trim(self) -> int:
        """Give unused pages back to the host; bytes."""
        return int(lib.exo_heap_trim(self._user))

    def stats(self) -> HeapStats:
        """Return the heap's sums, about, while others work."""
        stats = ffi.new("struct exo_heap_stats *")
        lib.exo_heap_stats(self._user, stats)
        return HeapStats(*(int(getattr(stats, name)) for name in HeapStats.__slots__))

    def detach(self) -> None:
        """Give the cache back; the owner's number may be another's then."""
        lib.exo_heap_detach(self._user)


class Heap:
    """A heap that fills a piece of shared memory."""

    __slots__ = ("mapped", "shared", "struct")

    def __init__(self, shared: Shared) -> None:
        """Open the heap in shared memory. Errors: EINVAL, there is none."""
        self.shared = shared
        self.struct: Any = shared.pointer("struct exo_heap *", 0)
        self.mapped = shared.size
        if self.struct.magic not in (0, lib.EXO_HEAP_MAGIC):
            raise OSError(errno.EINVAL, "no heap")

    @classmethod
    def create(
        cls, size: int, owners: int = 64, *, guard: bool = False, poison: bool = False
    ) -> Heap:
        """Make a heap of size bytes, most of them for objects, in memory of its own.

        owners: numbers below it have caches; they are alive until bury(). guard, poison: find
        overruns, double frees and writes to what is free; slow. Errors: EINVAL, below 1 MiB.
        """
        heap = cls(Shared.create(size))
        flags = lib.EXO_HEAP_SHARED
        flags |= lib.EXO_HEAP_GUARD if guard or poison else 0
        flags |= lib.EXO_HEAP_POISON if poison else 0
        check(lib.exo_heap_init(heap.struct, size, owners, flags))
        lib.exo_heap_own_words(heap.struct)
        return heap

    def attach(self, owner: int = 0) -> HeapUser:
        """Return a way to it; owner 0 has no cache. Errors: EINVAL, no such number."""
        return HeapUser(self, owner)

    def bury(self, owner: int) -> int:
        """Take back what an owner that the caller knows to be dead had cached; how many objects."""
        lib.exo_heap_bury(self.struct, self.mapped, owner)
        user = self.attach()
        return user.repair()
