"""The windowed switch for numba: jitted functions that leave their stack for another one.

Contexts come from exo_um.bindings.context. Only jitted code may be on a stack of such a context,
never Python's interpreter, so there is no plain twin.
"""

from __future__ import annotations

from exo_um.bindings.atomic_jit import call_native, jit

ENTRY = "void(CPointer(int64))"
"""Signature of numba's @cfunc for a context's entry."""


@jit
def switch(function: int, here: int, there: int) -> None:
    """Save this context at `here` and go on with the one at `there`, until somebody comes back.

    function: Context.switch_address(); here, there: Context.address.
    """
    call_native(function, here, there, 0, 0)
