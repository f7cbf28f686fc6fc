"""Contexts of the windowed switch (exo/switch.h), for jitted code that switches by itself."""

from __future__ import annotations

from exo_um.bindings import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

STACK_SIZE: int = lib.EXO_STACK_SIZE


class Context:
    """Where something goes on: a stack pointer and an address, and maybe a stack of its own."""

    __slots__ = ("_at", "_own")

    def __init__(self, entry: int = 0, argument: int = 0, stack_size: int = STACK_SIZE) -> None:
        """Make a context whose first switch calls C's entry(argument) on a stack of its own.

        entry is a function's address (numba's @cfunc), which must not return; with 0 the context is
        one to be saved into. stack_size: bytes, whole pages. Errors: EINVAL, of the size; ENOMEM.
        """
        self._own = entry != 0
        if not self._own:
            self._at: Any = ffi.new("struct exo_context *")
            return
        at = ffi.new("struct exo_context **")
        function, word = ffi.cast("void (*)(void *)", entry), ffi.cast("void *", argument)
        check(lib.exo_context_create(at, stack_size, function, word))
        self._at = at[0]

    @staticmethod
    def switch_address() -> int:
        """Return the address of exo_switch(from, to), good for this process."""
        return int(ffi.cast("intptr_t", ffi.addressof(lib, "exo_switch")))

    @property
    def address(self) -> int:
        """Where its two words are."""
        return int(ffi.cast("intptr_t", self._at))

    def close(self) -> None:
        """Give its stack back; what stood there is lost."""
        if self._own:
            self._own = False
            lib.exo_context_destroy(self._at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
