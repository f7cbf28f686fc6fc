"""open(2) and openat(2) of names below /proc: the only opens that reach the kernel process.

The runtime makes the path absolute and replaces self and thread-self by the caller's numbers. An
open with O_PATH always gets a path of the host's, which is what stat and readlink need too.
"""

from __future__ import annotations

import errno
import os

from exo_um.bindings.jobs import LIST_FDS, LIST_PIDS, ListNumbers
from exo_um.kernel import procfs
from exo_um.kernel.call import NewFd, Pass, Work
from exo_um.kernel.hostproc import read_file
from exo_um.kernel.procview import InstanceView

MEMFD_NAME_SIZE = 240  # the host takes 249 bytes
# More than a worker's wake-up is worth, at some 0.1 us each.
MANY = 1000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Answer, Call, Steps


def sys_openat(call: Call) -> Answer | Steps:
    """Open a name below /proc. Source: openat(2), proc(5).

    The directory fd is ignored; argument 4 is the number that the fd is going to get.
    """
    return _open(call, call.path(1), call.args[2])


def _open(call: Call, path: bytes, flags: int) -> Answer | Steps:
    answer = procfs.resolve(InstanceView(call.instance, call.slot), os.fsdecode(path))
    if isinstance(answer, procfs.HostPath):
        return Pass(answer.path)
    directory = isinstance(answer, procfs.Listing)
    if flags & os.O_PATH and not isinstance(answer, procfs.Made):
        return Pass(answer.path)
    _check(flags, directory=directory)
    cloexec = bool(flags & os.O_CLOEXEC)
    if isinstance(answer, procfs.Listing):
        return _made(_listing(call, answer, _memfd_name(path)), cloexec=cloexec, directory=True)
    if isinstance(answer, procfs.Copied):
        job = answer.copy(call.instance.region, answer.path, _memfd_name(path))
        return _made(Work(job, long=True), cloexec=cloexec, directory=False)
    text = answer.text if isinstance(answer, procfs.Made) else answer.rewrite(_read(answer.path))
    return NewFd(content_fd(path, text), cloexec=cloexec)


def _made(work: Work, *, cloexec: bool, directory: bool) -> Steps:
    """Hand over the fd that a job makes."""
    fd = yield work
    return NewFd(fd, cloexec=cloexec, directory=directory) if fd >= 0 else fd


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


def _listing(call: Call, listing: procfs.Listing, name: bytes) -> Work:
    """Return the work of listing a directory: the host's names first, if it has some."""
    instance, slot = call.instance, listing.slot
    tasks = instance.tasks
    first = procfs.FIRST_INODE, listing.kind
    job = ListNumbers(instance.region, name, listing.what, slot, first)
    if listing.what == LIST_FDS:
        if slot and tasks[slot].leader_slot == call.leader:
            job.add(call.args[4])
        return Work(job, long=tasks.fd_count(slot) > MANY)
    count: int = instance.region.kr.task_high
    if listing.what == LIST_PIDS:
        job.add_host(listing.path)
        count += os.stat(listing.path).st_nlink  # noqa: PTH116 - the host's processes, more or less
    return Work(job, long=count > MANY)


def _memfd_name(path: bytes) -> bytes:
    """Return how a memfd is called that stands for path: the runtime asks the host for that."""
    return (b"exo:" + path)[:MEMFD_NAME_SIZE]


def content_fd(path: bytes, content: bytes) -> int:
    """Return a read-only host fd of a memfd that holds content."""
    fd = os.memfd_create(os.fsdecode(_memfd_name(path)), os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", buffering=0, closefd=False) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) or 0 :]
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
