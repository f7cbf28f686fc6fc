"""The run directory: where a user's instances are found, one socket each, named after it.

On the way to the first guest's start, so it imports little. A dead instance's socket refuses
connections; clean() removes such.
"""

from __future__ import annotations

import errno
import os

from exo_um.bindings import check, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_LIMIT = 32
NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
ID_BYTES = 2
ATTEMPTS = 100


def is_name(name: str) -> bool:
    """Whether an instance may be called so: letters, digits, and inside also dot, dash, _."""
    return (
        0 < len(name) <= NAME_LIMIT
        and NAME_LETTERS.issuperset(name)
        and name[0] not in "._-"
        and name[-1] != "."
    )


def candidates(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return where the run directory may be, best first: an existing parent, and its name there."""
    uid = os.getuid()
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    first = [(runtime, "exo-um")] if runtime.startswith("/") else []
    return [*first, (f"/run/user/{uid}", "exo-um"), ("/tmp", f"exo-um-{uid}")]  # noqa: S108 - owner and mode are checked


def open_directory(environment: Mapping[str, str], *, create: bool) -> int | None:
    """Open the run directory; None if it is not there and not to be made.

    Errors: EPERM, it belongs to another user or others may enter it; those of mkdir and open.
    """
    for parent, name in candidates(environment):
        try:
            outer = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if name == "exo-um" and os.fstat(outer).st_uid != os.getuid():
                continue  # another user's, kept in the environment by su(1)
            return open_below(outer, parent, name, create=create)
        finally:
            os.close(outer)
    return None


def open_below(outer: int, parent: str, name: str, *, create: bool) -> int | None:
    """Open or make the run directory in an open one, following no link, and check whose it is."""
    if create:
        try:
            os.mkdir(name, 0o700, dir_fd=outer)
        except FileExistsError:  # contextlib.suppress is slow to import
            create = False
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        directory = os.open(name, flags, dir_fd=outer)
    except FileNotFoundError:
        return None
    status = os.fstat(directory)
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        os.close(directory)
        raise PermissionError(errno.EPERM, "not a directory of one's own", f"{parent}/{name}")
    return directory


class Entry:
    """The entry of this process's instance: its name and the socket that others connect to."""

    __slots__ = ("_directory", "fd", "name")

    def __init__(self, environment: Mapping[str, str], name: str | None) -> None:
        """Make an entry called name, or by an identifier that is free.

        Errors: EADDRINUSE, there is a living instance of that name; OSError, no run directory.
        """
        directory = open_directory(environment, create=True)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, "no place for a run directory")
        self._directory = directory
        try:
            self.name, self.fd = claim(directory, name)
        except OSError:
            os.close(directory)
            raise

    def remove(self) -> None:
        """Take the entry out of the directory; nobody finds the instance any more."""
        try:
            os.unlink(self.name, dir_fd=self._directory)
        except OSError:  # somebody cleared the directory: all the same
            return
        finally:
            os.close(self.fd)
            os.close(self._directory)


def claim(directory: int, name: str | None) -> tuple[str, int]:
    """Return a name and its listening socket. Errors: EADDRINUSE, no such name is free."""
    if name is not None:
        return name, check(lib.exo_host_control_open(directory, name.encode()))
    for _ in range(ATTEMPTS):
        name = os.urandom(ID_BYTES).hex()
        try:
            return name, check(lib.exo_host_control_open(directory, name.encode()))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no identifier is free")


def names(directory: int) -> list[str]:
    """Return the names of living instances, in order; what dead ones left behind is removed."""
    found = sorted(name for name in os.listdir(directory) if is_name(name))
    return [
        name for name in found if not check(lib.exo_host_control_clean(directory, name.encode()))
    ]
