"""Owners: numbers for processes that share rings and pools, outside an instance.

What a process was doing in a ring when it died is undone, and the blocks it held come back, because
claims and blocks name their owner by such a number. Nothing here imports numba.
"""

from __future__ import annotations

import os

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from exo_um.bindings.shared import Shared

_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Owners:
    """A roster at an offset in shared memory, on a multiple of 64 bytes, and our number in it.

    The rings and pools registered with it lie in the same shared memory. A process has one number
    in a roster, however many threads use it; in a forked child it is another.
    """

    __slots__ = ("_forks", "_mapped", "_number", "_roster", "offset", "shared")

    def __init__(self, shared: Shared, offset: int = 0) -> None:
        """Look at a roster that is there. Errors: EBADF, there is none."""
        self.shared = shared
        self.offset = offset
        self._roster: Any = shared.pointer("struct exo_roster *", offset)
        self._mapped: Any = ffi.new("struct exo_mapped *")
        self._mapped.at = shared.pointer("void *", 0)
        self._mapped.size = shared.size
        self._number = 0
        self._forks = _forks
        check(lib.exo_roster_check(self._roster, self._mapped))

    @classmethod
    def create(cls, shared: Shared, offset: int = 0, count: int = 64) -> Owners:
        """Make a roster for count - 1 processes. Errors: EINVAL, count not in 2 to 65536."""
        check(lib.exo_roster_init(shared.pointer("struct exo_roster *", offset), count))
        return cls(shared, offset)

    @staticmethod
    def size(count: int = 64) -> int:
        """Return how many bytes a roster takes."""
        return int(lib.exo_roster_size(count))

    @property
    def address(self) -> int:
        """Where the roster is in this process."""
        return self.shared.address + self.offset

    def register(self, offset: int) -> None:
        """Have the ring or pool at an offset in the shared memory repaired when an owner dies.

        Whoever made it does that once, before others use it.
        Errors: EBADF, neither is there; ENOSPC, 64 are registered.
        """
        item = self.shared.pointer("void *", offset)
        check(lib.exo_roster_register(self._roster, self._mapped, item))

    def unregister(self, offset: int) -> None:
        """Forget the ring or pool at an offset: its memory is going to be something else."""
        lib.exo_roster_unregister(self._roster, self.shared.pointer("void *", offset))

    def join(self) -> int:
        """Return our number, taking one if this process has none yet.

        Errors: EAGAIN, all numbers are taken; EMFILE, this process has 2000 numbers.
        """
        if self._number == 0 or self._forks != _forks:
            self._number = check(lib.exo_host_join(self._roster, self._mapped))
            self._forks = _forks
        return self._number

    @property
    def number(self) -> int:
        """Our number, 0 before join() and in a forked child."""
        return self._number if self._forks == _forks else 0

    def leave(self) -> None:
        """Give our number back, with the blocks that we still hold."""
        if self.number:
            check(lib.exo_host_leave(self._roster, self._mapped, self._number))
        self._number = 0

    def is_alive(self, number: int) -> bool:
        """Whether somebody has a number."""
        return bool(lib.exo_roster_is_alive(self._roster, number))

    def generation(self, number: int) -> int:
        """How often a number has been taken: tells one process that has it from the next."""
        return int(lib.exo_roster_generation(self._roster, number))

    def repair(self) -> int:
        """Undo what dead owners have left now, not when it is met; how many claims and blocks."""
        return int(lib.exo_roster_repair(self._roster, self._mapped))

    def close(self) -> None:
        """Leave; to be done before the shared memory is unmapped."""
        self.leave()
