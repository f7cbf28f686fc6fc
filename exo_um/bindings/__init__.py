"""The only importer of cffi: typed wrappers of the native core and of the kernel region.

Everything above passes slots, offsets and numbers; pointers stay in here. On the way to the first
guest instruction, so it imports nothing but the compiled module.
"""

from __future__ import annotations

import os

from exo_um.bindings._native import ffi, lib

__all__ = ["check", "ffi", "lib"]


def check(result: int) -> int:
    """Return a result of a C function, or raise the OSError that -errno stands for."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
