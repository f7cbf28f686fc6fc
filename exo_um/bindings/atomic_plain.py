"""The operations of atomic_jit in plain Python, for tests: as atomic, some hundred times slower.

Loads and stores are single instructions of cffi's, which x86 orders as acquire and release.
"""

from __future__ import annotations

import time

from exo_um.bindings import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "call_native",
    "compare_exchange_u16",
    "compare_exchange_u32",
    "compare_exchange_u64",
    "copy",
    "exchange_u32",
    "exchange_u64",
    "fetch_add_u32",
    "fetch_add_u64",
    "fetch_or_u32",
    "full_fence",
    "here_rdpid",
    "here_rdtscp",
    "host_call",
    "load_acquire_u16",
    "load_acquire_u32",
    "load_acquire_u64",
    "load_plain_u32",
    "load_plain_u64",
    "load_relaxed_u8",
    "load_relaxed_u16",
    "load_relaxed_u32",
    "load_relaxed_u64",
    "ordered_cycles",
    "rdtscp",
    "spin_pause",
    "store_relaxed_u8",
    "store_relaxed_u16",
    "store_relaxed_u32",
    "store_relaxed_u64",
    "store_release_u32",
    "store_release_u64",
]

SYS_GETCPU = 309
_MASK = (1 << 64) - 1


def _at(address: int, bits: int) -> Any:
    kind = "int64_t" if bits == 64 else f"uint{bits}_t"
    return ffi.cast(f"{kind} *", address)


def _make_load(bits: int) -> Callable[[int], int]:
    def load(address: int) -> int:
        return int(_at(address, bits)[0])

    return load


def _make_store(bits: int) -> Callable[[int, int], None]:
    def store(address: int, value: int) -> None:
        _at(address, bits)[0] = int(ffi.cast("int64_t" if bits == 64 else f"uint{bits}_t", value))

    return store


def _make_rmw(bits: int, operation: Any) -> Callable[[int, int], int]:
    def rmw(address: int, value: int) -> int:
        old = operation(address, bits, value & _MASK)
        return old - (1 << 64) if old >> 63 else int(old)

    return rmw


def _make_compare_exchange(bits: int) -> Callable[[int, int, int], bool]:
    def compare_exchange(address: int, expected: int, desired: int) -> bool:
        replace = lib.exo_host_atomic_replace
        return bool(replace(address, bits, expected & _MASK, desired & _MASK))

    return compare_exchange


load_acquire_u64 = load_relaxed_u64 = _make_load(64)
load_acquire_u32 = load_relaxed_u32 = _make_load(32)
load_plain_u64, load_plain_u32 = load_acquire_u64, load_acquire_u32
load_acquire_u16 = load_relaxed_u16 = _make_load(16)
load_relaxed_u8 = _make_load(8)
store_release_u64 = store_relaxed_u64 = _make_store(64)
store_release_u32 = store_relaxed_u32 = _make_store(32)
store_relaxed_u16 = _make_store(16)
store_relaxed_u8 = _make_store(8)
fetch_add_u64 = _make_rmw(64, lib.exo_host_atomic_add)
fetch_add_u32 = _make_rmw(32, lib.exo_host_atomic_add)
exchange_u64 = _make_rmw(64, lib.exo_host_atomic_exchange)
exchange_u32 = _make_rmw(32, lib.exo_host_atomic_exchange)
fetch_or_u32 = _make_rmw(32, lib.exo_host_atomic_or)
compare_exchange_u64 = _make_compare_exchange(64)
compare_exchange_u32 = _make_compare_exchange(32)
compare_exchange_u16 = _make_compare_exchange(16)


def full_fence() -> None:
    """Order all loads and stores before with all after."""
    lib.exo_host_atomic_fence()


def spin_pause() -> None:
    """Return at once."""


def rdtscp() -> int:
    """Return nanoseconds: as good a clock here as cycles."""
    return time.monotonic_ns()


def here_rdtscp() -> int:
    """Return the number of the CPU we run on, with the node in bits 12 and up."""
    cpu = ffi.new("uint32_t[2]")
    lib.exo_host_call(
        SYS_GETCPU, int(ffi.cast("intptr_t", cpu)), int(ffi.cast("intptr_t", cpu + 1)), 0, 0, 0, 0
    )
    return int(cpu[0]) | int(cpu[1]) << 12


here_rdpid = here_rdtscp


def ordered_cycles() -> int:
    """Return nanoseconds, as rdtscp()."""
    return time.monotonic_ns()


def host_call(nr: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """Make a system call of the host's; a result or -errno."""
    return int(lib.exo_host_call(nr, a, b, c, d, e, f))


def call_native(function: int, a: int, b: int, c: int, d: int) -> int:
    """Call a C function that takes four words and returns an int."""
    return int(ffi.cast("int (*)(int64_t, int64_t, int64_t, int64_t)", function)(a, b, c, d))


def copy(to: int, source: int, size: int) -> None:
    """Copy size bytes between addresses that do not overlap."""
    ffi.memmove(ffi.cast("char *", to), ffi.cast("char *", source), size)
