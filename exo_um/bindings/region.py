"""The kernel region as Python sees it: created once at boot, then read field by field; or viewed.

Fields of C structs are reached through `kr`, an untyped cffi pointer; classes of exo_um.kernel give
them types and meaning.
"""

from __future__ import annotations

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# Where the file of patched copies may be: large folios make it cheap to map (core/image.c).
COPIES = ("/var/tmp", "/tmp")  # noqa: S108 - it has no name there


class Region:
    """The kernel region, mapped into this process, and the memfd that guests map.

    copies: fd of the file for patched copies of code, the memfd where there is no better one.
    """

    __slots__ = ("copies", "fd", "kr")

    def __init__(self) -> None:
        pointer = ffi.new("struct exo_kr **")
        self.fd: int = check(lib.exo_host_region_create(pointer))
        self.kr: Any = pointer[0]
        made = (lib.exo_host_copies_create(folder.encode()) for folder in COPIES)
        self.copies: int = next((fd for fd in made if fd >= 0), self.fd)

    def copies_id(self) -> tuple[int, int, int]:
        """Return the device, major and minor, and the inode of the file of copies."""
        numbers = ffi.new("uint32_t[2]")
        inode = ffi.new("uint64_t *")
        check(lib.exo_host_file_id(self.copies, numbers, numbers + 1, inode))
        return numbers[0], numbers[1], inode[0]

    def mark_kernel_alive(self) -> None:
        """Hold pid 1's alive lock until the calling thread dies, however it dies."""
        lib.exo_alive_mark(ffi.addressof(self.kr.tasks, 0), lib.exo_self(), ffi.NULL)

    def take_left_behind(self) -> bool:
        """Whether a task was killed at work since we last asked."""
        left: bool = self.kr.left_behind != 0
        self.kr.left_behind = 0
        return left

    def string(self, array: Any) -> bytes:
        """Return the bytes of a char array of the region up to its NUL."""
        return bytes(ffi.string(array))

    def frame_data(self, slot: int, offset: int, size: int) -> Any:
        """Return a writable buffer over data[offset:offset + size] of a slot's call frame."""
        limit: int = lib.EXO_FRAME_DATA_SIZE
        if offset < 0 or size < 0 or offset + size > limit:
            raise ValueError(f"frame data {offset}+{size} of {limit}")
        return ffi.buffer(ffi.addressof(self.kr.frames[slot].data, offset), size)

    def table_create(self) -> int:
        """Create an empty fd table; return its offset."""
        table: int = lib.exo_fd_table_create(self.kr)
        return table

    def table_install(self, table: int, fd: int, host: int) -> None:
        """Make guest number fd of a table stand for a host fd, both without close-on-exec."""
        check(lib.exo_fd_ensure(self.kr, table, fd, lib.EXO_FD_MAX_COUNT))
        lib.exo_fd_install(self.kr, table, fd, host, lib.EXO_FD_OPEN)

    def table_used(self, table: int) -> int:
        """Return one more than the highest number in use of a table, about."""
        return int(self._at("struct exo_fd_table *", table).used)

    def table_host(self, table: int, fd: int) -> int:
        """Return the host fd behind guest number fd, or -1."""
        entry = lib.exo_fd_at(self.kr, table, fd)
        return -1 if entry == ffi.NULL or entry.host < 0 else int(entry.host)

    def _at(self, kind: str, offset: int) -> Any:
        return ffi.cast(kind, ffi.cast("char *", self.kr) + offset)


class OpenedRegion(Region):
    """The region of a running instance, for use by a process of the instance's own."""

    __slots__ = ()

    def __init__(self, fd: int) -> None:
        pointer = ffi.new("struct exo_kr **")
        check(lib.exo_host_region_open(fd, pointer))
        self.fd = fd
        self.kr = pointer[0]


class RegionView(Region):
    """The region of a running instance, for looking at only: a store would be a fault."""

    __slots__ = ()

    def __init__(self, fd: int) -> None:
        pointer = ffi.new("struct exo_kr const **")
        check(lib.exo_host_region_view(fd, pointer))
        self.fd = fd
        self.kr = pointer[0]
