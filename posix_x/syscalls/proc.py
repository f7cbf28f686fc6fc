"""open(2) and openat(2) of names below /proc: the only opens that reach the kernel process.

The runtime makes the path absolute and replaces self and thread-self by the caller's numbers. An
open with O_PATH always gets a path of the host's, which is what stat and readlink need too.
"""

from __future__ import annotations

import errno
import os

from exo_um.kernel import procfs
from exo_um.kernel.call import NewFd, Pass
from exo_um.kernel.dirent import DT_DIR, Entry, encode
from exo_um.kernel.hostproc import read_file
from exo_um.kernel.procview import InstanceView

MEMFD_NAME_SIZE = 240  # the host takes 249 bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Answer, Call


def sys_openat(call: Call) -> Answer:
    """Open a name below /proc. Source: openat(2), proc(5).

    The directory fd is ignored; argument 4 is the number that the fd is going to get.
    """
    return _open(call, call.path(1), call.args[2])


def _open(call: Call, path: bytes, flags: int) -> Answer:
    answer = procfs.resolve(InstanceView(call.instance, call.slot, call.args[4]), os.fsdecode(path))
    if isinstance(answer, procfs.HostPath):
        return Pass(answer.path)
    directory = isinstance(answer, procfs.Listing)
    if flags & os.O_PATH and not isinstance(answer, procfs.Made):
        return Pass(answer.path)
    _check(flags, directory=directory)
    if isinstance(answer, procfs.Listing):
        content = encode(_entries(answer))
    elif isinstance(answer, procfs.Made):
        content = answer.text
    else:
        content = answer.rewrite(_read(answer.path))
    return NewFd(
        content_fd(path, content),
        cloexec=bool(flags & os.O_CLOEXEC),
        directory=directory,
    )


def _check(flags: int, *, directory: bool) -> None:
    """Refuse what such a file does not allow.

    Errors: EISDIR, ENOTDIR, EEXIST; EACCES, writing (DIFFERS: root may not open such files for
    writing).
    """
    writing = flags & os.O_ACCMODE != os.O_RDONLY
    if flags & os.O_CREAT and flags & os.O_EXCL:
        raise OSError(errno.EEXIST, "a file of /proc")
    if directory and (writing or flags & os.O_CREAT):
        raise OSError(errno.EISDIR, "a directory of /proc")
    if not directory and flags & os.O_DIRECTORY:
        raise OSError(errno.ENOTDIR, "a file of /proc")
    if writing:
        raise OSError(errno.EACCES, "a file that exo-um makes")


def _read(path: bytes) -> bytes:
    """Return the host's text. Errors: ENOENT, the process has just gone."""
    try:
        return read_file(path)
    except ProcessLookupError as error:
        raise OSError(errno.ENOENT, "gone") from error


def _entries(listing: procfs.Listing) -> list[Entry]:
    """Return a directory's entries, the host's first."""
    inode = procfs.FIRST_INODE
    entries = [Entry(b".", DT_DIR, inode), Entry(b"..", DT_DIR, inode)]
    if listing.host:
        with os.scandir(listing.path) as host:
            entries += [
                Entry(entry.name, _kind(entry), entry.inode())
                for entry in host
                if not entry.name.isdigit()
            ]
    return entries + listing.entries


def _kind(entry: os.DirEntry[bytes]) -> int:
    """Return the d_type of a host directory entry."""
    mode = entry.stat(follow_symlinks=False).st_mode
    return mode >> 12 & 15  # S_IFMT's bits are DT_ values


def content_fd(path: bytes, content: bytes) -> int:
    """Return a read-only host fd of a memfd that holds content.

    It is called after its path in the guest: the runtime asks the host for that name.
    """
    fd = os.memfd_create(f"exo:{os.fsdecode(path)}"[:MEMFD_NAME_SIZE], os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", buffering=0, closefd=False) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) or 0 :]
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
