"""Files by capability: opened with explicit rights, which can only become fewer.

A Directory is the only way to names below it; nothing leads out (openat2(2), RESOLVE_BENEATH). The
host's descriptor is opened with no more than the rights ask for, and what it cannot express, such
as SEEK or SYNC, is checked here. Errors: EACCES, a right is missing (Capsicum says ENOTCAPABLE,
which Linux has not).
"""

from __future__ import annotations

import enum
import errno
import os

from exo_um.bindings.capability import open_beneath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Rights(enum.IntFlag):
    """What may be done with a file or through a directory."""

    READ = 1
    WRITE = 2
    APPEND = 4  # writes, and only at the end
    SEEK = 8  # reads and writes at any place
    TRUNCATE = 16
    STAT = 32
    SYNC = 64
    LIST = 128  # of a directory: its names
    CREATE = 256
    REMOVE = 512  # names of a directory
    LOOKUP = 1024  # of a directory: opens what it has
    ALL = 2047


_WRITES = Rights.WRITE | Rights.APPEND | Rights.TRUNCATE


class _Capability:
    """A descriptor and the rights that it is held with."""

    __slots__ = ("_fd", "rights")

    def __init__(self, fd: int, rights: Rights) -> None:
        """Own fd. The host has opened it with these rights at least."""
        self._fd = fd
        self.rights = Rights(rights)

    def need(self, rights: Rights) -> int:
        """Return the fd. Errors: EACCES, a right is missing; EBADF, closed."""
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        missing = rights & ~self.rights
        if missing:
            raise PermissionError(errno.EACCES, f"without the right to {missing.name}")
        return self._fd

    def fileno(self) -> int:
        """Return the fd, for who passes it on: it has its own rights, see narrow()."""
        return self.need(Rights(0))

    def stat(self) -> os.stat_result:
        """Return fstat(2)'s answer."""
        return os.fstat(self.need(Rights.STAT))

    def close(self) -> None:
        """Close the descriptor; it may be done twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._fd}, {self.rights!r}>"


def _flags_of(rights: Rights) -> int:
    """Return open(2)'s flags for no more than the rights."""
    if not rights & (Rights.READ | _WRITES):
        return os.O_PATH
    reads = bool(rights & Rights.READ)
    writes = bool(rights & _WRITES)
    flags = os.O_RDWR if reads and writes else os.O_WRONLY if writes else os.O_RDONLY
    only_appends = rights & _WRITES and not rights & (Rights.WRITE | Rights.TRUNCATE)
    return flags | (os.O_APPEND if only_appends else 0)


class File(_Capability):
    """An open file."""

    __slots__ = ()

    @classmethod
    def open(cls, path: str | bytes | os.PathLike[str], rights: Rights = Rights.READ) -> File:
        """Open a file anywhere: for programs that are trusted with all names.

        rights with CREATE make it if it is not there, mode 0600 and the umask.
        """
        flags = _flags_of(rights) | os.O_CLOEXEC
        if rights & Rights.CREATE:
            flags |= os.O_CREAT
        return cls(os.open(path, flags, 0o600), rights & ~Rights.CREATE)

    def narrow(self, rights: Rights) -> File:
        """Return the same open file with fewer rights; its place in the file is shared.

        Errors: EACCES, more rights.
        """
        return File(os.dup(self.need(rights)), rights)

    def read(self, size: int = -1) -> bytes:
        """Return up to size bytes from where the file is at, with -1 all there are."""
        fd = self.need(Rights.READ)
        if size >= 0:
            return os.read(fd, size)
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts)

    def read_at(self, size: int, offset: int) -> bytes:
        """Return up to size bytes from an offset."""
        return os.pread(self.need(Rights.READ | Rights.SEEK), size, offset)

    def write(self, data: Any) -> int:
        """Write all of data where the file is at, or at its end; return how many bytes."""
        if not self.rights & Rights.APPEND:
            self.need(Rights.WRITE)
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.write(self.need(Rights(0)), view[done:])
        return done

    def write_at(self, data: Any, offset: int) -> int:
        """Write at an offset; return how many bytes. Not for files that are only appended to."""
        return os.pwrite(self.need(Rights.WRITE | Rights.SEEK), data, offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and return it."""
        return os.lseek(self.need(Rights.SEEK), offset, whence)

    def truncate(self, size: int) -> None:
        """Make the file so many bytes."""
        os.ftruncate(self.need(Rights.TRUNCATE), size)

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self.need(Rights.SYNC))


class Directory(_Capability):
    """A directory, and what is below it: names with `..` or symlinks that lead out are refused."""

    __slots__ = ()

    @classmethod
    def open(cls, path: str | bytes | os.PathLike[str], rights: Rights = Rights.ALL) -> Directory:
        """Open a directory anywhere: for programs that are trusted with all names."""
        return cls(os.open(path, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC), rights)

    def narrow(self, rights: Rights) -> Directory:
        """Return the same directory with fewer rights. Errors: EACCES, more rights."""
        return Directory(os.dup(self.need(rights)), rights)

    def file(self, path: str, rights: Rights = Rights.READ) -> File:
        """Open a file below.

        Errors: EACCES, the directory has not these rights; EXDEV, it is not below; of openat2(2).
        """
        flags = _flags_of(rights)
        if rights & Rights.CREATE:
            flags |= os.O_CREAT
        fd = open_beneath(self.need(rights | Rights.LOOKUP), path, flags, 0o600)
        return File(fd, rights & ~Rights.CREATE)

    def directory(self, path: str, rights: Rights | None = None) -> Directory:
        """Open a directory below, with this one's rights or fewer."""
        wanted = self.rights if rights is None else rights
        at = self.need(wanted | Rights.LOOKUP)
        return Directory(open_beneath(at, path, os.O_DIRECTORY | os.O_RDONLY, 0), wanted)

    def make(self, path: str) -> Directory:
        """Make a directory below, mode 0700 and the umask, and open it."""
        parent, name = self._parent(path, Rights.CREATE)
        with parent:
            os.mkdir(name, 0o700, dir_fd=parent.fileno())
        return self.directory(path)

    def remove(self, path: str) -> None:
        """Remove a file, or an empty directory."""
        parent, name = self._parent(path, Rights.REMOVE)
        with parent:
            try:
                os.unlink(name, dir_fd=parent.fileno())
            except IsADirectoryError:
                os.rmdir(name, dir_fd=parent.fileno())

    def names(self) -> list[str]:
        """Return the names in it, sorted."""
        return sorted(os.listdir(self.need(Rights.LIST)))  # noqa: PTH208 - by its fd

    def _parent(self, path: str, rights: Rights) -> tuple[Directory, str]:
        """Return the directory that a name is in, which may be this one, and the name."""
        above, name = os.path.split(path.rstrip("/"))
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        self.need(rights | Rights.LOOKUP)
        return self.directory(above or ".", rights | Rights.LOOKUP), name
