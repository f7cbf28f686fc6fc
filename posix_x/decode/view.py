"""One system call as a decoder sees it: its numbers, what memory held before and after, options."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from posix_x.decode.memory import PATH_LIMIT, Memory, Snippets, string
from posix_x.decode.text import address, quoted, signed
from posix_x.table.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING = Snippets([])
ERRNO_LIMIT = 4095
AT_FDCWD = -100
RESTARTS = {
    512: ("ERESTARTSYS", "To be restarted if SA_RESTART is set"),
    513: ("ERESTARTNOINTR", "To be restarted"),
    514: ("ERESTARTNOHAND", "To be restarted if no handler"),
    516: ("ERESTART_RESTARTBLOCK", "Interrupted by signal"),
}


RESULTS: dict[
    str, Callable[[View], str | None]
] = {}  # of calls whose results have names; None: as ever


@dataclass
class Options:
    """How calls are written."""

    string_limit: int = 32
    verbose: bool = False
    fds: bool = False  # with what descriptors lead to
    raw: frozenset[int] = frozenset()  # calls of which arguments and results are hexadecimal


@dataclass
class View:
    """A call: number, six raw arguments, and its result; None while it has not returned.

    fd_text is -y's: what follows a descriptor's number, before or (True) after the call.
    """

    nr: int
    args: tuple[int, ...]
    result: int | None = None
    before: Memory = NOTHING
    after: Memory = NOTHING
    options: Options = field(default_factory=Options)
    stack: int = 0  # the stack pointer, for rt_sigreturn
    note: str = ""  # what follows the result in parentheses
    fd_text: Callable[[int, bool], str] | None = None
    pointer: int | None = None  # where it was made

    @property
    def name(self) -> str:
        """Return the call's name; of a number that no row has, as strace does."""
        row = ROWS.get(self.nr)
        return row[0] if row else f"syscall_{self.nr:#x}"

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return self.result is not None and -ERRNO_LIMIT <= self.result < 0

    def i32(self, i: int) -> int:
        """Return argument i as a C int."""
        return signed(self.args[i], 4)

    def u32(self, i: int) -> int:
        """Return argument i as an unsigned int."""
        return self.args[i] & 0xFFFFFFFF

    def i64(self, i: int) -> int:
        """Return argument i as a long."""
        return signed(self.args[i], 8)

    def fd(self, number: int, late: bool = False) -> str:
        """Return a descriptor, with what it leads to if that is asked for; late: since the call."""
        return str(number) + (self._fd_text(number, late) if number >= 0 else "")

    def dirfd(self, number: int) -> str:
        """Return a descriptor, or the name of the working directory."""
        return f"AT_FDCWD{self._fd_text(number, False)}" if number == AT_FDCWD else self.fd(number)

    def _fd_text(self, number: int, late: bool) -> str:
        return self.fd_text(number, late) if self.options.fds and self.fd_text is not None else ""

    def path(self, at: int) -> str:
        """Return the path at an address."""
        return self._string(at, PATH_LIMIT)

    def string(self, at: int) -> str:
        """Return the string at an address, cut at the limit."""
        return self._string(at, self.options.string_limit)

    def _string(self, at: int, limit: int) -> str:
        found = string(self.before, at, limit) if at else None
        if found is None:
            return address(at)
        data, whole = found
        if not whole and len(data) < limit:
            return address(at)
        return quoted(data, limit) + ("" if whole else "...")

    def data(self, at: int, size: int, memory: Memory | None = None) -> str:
        """Return size bytes at an address in quotes, cut at the limit."""
        if not at:
            return "NULL"
        limit = self.options.string_limit
        got = (memory or self.before).peek(at, min(size, limit))
        if size > 0 and len(got) < min(size, limit):
            return address(at)
        return quoted(got, limit) + ("..." if size > limit else "")

    def result_text(self) -> str:
        """Return what stands behind the equals sign, without the note."""
        row = ROWS.get(self.nr)
        kind = row[4] if row else "long"
        if self.result is None or kind == "none":
            return "?"
        if self.failed:
            return error_text(-self.result)
        if self.nr in self.options.raw:
            return f"{self.result & 0xFFFFFFFFFFFFFFFF:#x}"
        show = RESULTS.get(self.name)
        named = show(self) if show is not None else None
        if named is not None:
            return named
        if kind == "addr" or self.name in ("mmap", "mremap", "brk", "shmat"):
            return f"{self.result & 0xFFFFFFFFFFFFFFFF:#x}"
        if kind == "mode":
            return f"{self.result:#o}".replace("0o", "0") if self.result else "000"
        if kind == "fd":
            return self.fd(self.result, True)
        if kind in ("uid", "gid"):
            return str(self.result & 0xFFFFFFFF)
        return str(self.result)


def error_text(number: int) -> str:
    """Return an error as strace has it after the equals sign."""
    if number in RESTARTS:
        name, text = RESTARTS[number]
        return f"? {name} ({text})"
    code = errno.errorcode.get(number)
    if code is None:
        return f"-1 (errno {number})"
    name = {"EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}.get(
        code, code
    )
    return f"-1 {name} ({os.strerror(number)})"
