"""Memory that processes share without an instance: a memfd, mapped."""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Shared:
    """A piece of shared memory; whoever is to share it gets the fd, inherited or by SCM_RIGHTS."""

    __slots__ = ("_at", "fd", "size")

    def __init__(self, fd: int) -> None:
        """Map what is behind fd, and own the fd.

        Errors: EPERM, where it is no memory that create() made; those of mmap(2).
        """
        at = ffi.new("void **")
        self.size: int = check(lib.exo_host_shared_map(fd, at))
        self.fd = fd
        self._at: Any = at[0]

    @classmethod
    def create(cls, size: int) -> Shared:
        """Make size bytes of zeros. Pages that nobody touches cost nothing.

        From 2 MiB on they are huge where the host lets programs ask for that (shmem_enabled is
        `advise` in /sys/kernel/mm/transparent_hugepage): then mapping them costs next to nothing.
        """
        return cls(check(lib.exo_host_shared_create(size)))

    @property
    def address(self) -> int:
        """Where it is mapped in this process."""
        return int(ffi.cast("uintptr_t", self._at))

    def pointer(self, kind: str, offset: int) -> Any:
        """Return a cffi pointer ("struct exo_ring *") to what is at an offset in bytes."""
        return ffi.cast(kind, self.address + offset)

    def buffer(self, offset: int, size: int) -> Any:
        """Return a writable buffer over bytes [offset, offset + size)."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise ValueError(f"{offset}+{size} of {self.size}")
        return ffi.buffer(self.pointer("char *", offset), size)

    def close(self) -> None:
        """Unmap it and close the fd; the memory goes with the last of those that share it."""
        if self.fd < 0:
            return
        check(lib.exo_host_shared_unmap(self._at, self.size))
        os.close(self.fd)
        self.fd = -1
