"""The allocator's first level for numba: native/core/alloccache.c on the same memory.

user is the address of a struct exo_heap_user, an object's name its offset in the heap. What an
owner's cache cannot serve goes to the C core, by the addresses in exo_um.mm.heap.slow_calls().

An object that is freed right after it was allocated stays beside the list: within a compiled loop
the list's words would be a chain of stores and loads.
"""

from __future__ import annotations

import numpy as np

from exo_um.bindings import lib
from exo_um.bindings.atomic_jit import (
    call_native,
    jit,
    load_plain_u64,
    load_relaxed_u8,
    load_relaxed_u16,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u32,
    store_relaxed_u64,
    store_release_u64,
)
from exo_um.bindings.layout import constant, offset

BASE, SIZE = offset("exo_heap_user", "base"), offset("exo_heap_user", "size")
CACHE = offset("exo_heap_user", "cache")
RESULT = offset("exo_heap_user", "result")
LIST, LIMIT = offset("exo_cache", "list"), offset("exo_cache", "limit")
LAST = offset("exo_cache", "last")
LAST_CLASS, BACK_CLASS = offset("exo_cache", "last_class"), offset("exo_cache", "back_class")
DEPTH = offset("exo_free_object", "depth")
CLASSES_AT = constant("EXO_HEAP_CLASSES_AT")
CHUNK_SHIFT = constant("EXO_CHUNK_SHIFT")
CLASS_COUNT = constant("EXO_CLASS_COUNT")
SMALL_LIMIT = constant("EXO_SMALL_LIMIT")

# A constant in compiled code: the class of sizes, in units of 16 bytes.
_CLASSES = np.array(
    [lib.exo_class_of(size) for size in range(0, SMALL_LIMIT + 1, 16)], dtype=np.uint8
)


@jit
def _pop(user: int, cache: int, kind: int) -> int:
    place = cache + LIST + 8 * kind
    found = load_relaxed_u64(place)
    if not 0 < found < load_plain_u64(user + SIZE):
        return 0
    store_release_u64(place, load_relaxed_u64(load_plain_u64(user + BASE) + found))
    if load_relaxed_u32(cache + BACK_CLASS) == 0:
        store_relaxed_u64(cache + LAST, found)
        store_relaxed_u32(cache + LAST_CLASS, kind)
    return found


@jit
def _call_alloc(user: int, length: int, alloc_call: int) -> int:
    error = call_native(alloc_call, user, length, 0, 0)
    return error if error != 0 else load_relaxed_u64(user + RESULT)


@jit
def alloc(user: int, length: int, alloc_call: int) -> int:
    """Return the offset of an object of length bytes, aligned to 16; -errno: ENOMEM, EUCLEAN."""
    cache = load_plain_u64(user + CACHE)
    if not 0 <= length <= SMALL_LIMIT or cache == 0:
        return _call_alloc(user, length, alloc_call)
    kind = int(_CLASSES[(length + 15) >> 4])
    if load_relaxed_u32(cache + BACK_CLASS) == kind:
        store_relaxed_u32(cache + BACK_CLASS, 0)
        return load_relaxed_u64(cache + LAST)
    found = _pop(user, cache, kind)
    return found if found != 0 else _call_alloc(user, length, alloc_call)


@jit
def _push(user: int, cache: int, where: int) -> bool:
    base, size = load_plain_u64(user + BASE), load_plain_u64(user + SIZE)
    if not 0 < where < size or where & 15:
        return False
    kind = load_relaxed_u8(base + CLASSES_AT + (where >> CHUNK_SHIFT))
    place = cache + LIST + 8 * kind
    if not 0 < kind < CLASS_COUNT:
        return False
    head = load_relaxed_u64(place)
    if not 0 <= head < size:
        return False
    depth = load_relaxed_u32(base + head + DEPTH)
    if depth >= load_relaxed_u16(cache + LIMIT + 2 * kind):
        return False
    store_relaxed_u64(base + where, head)
    store_relaxed_u32(base + where + DEPTH, depth + 1)
    store_release_u64(place, where)
    return True


@jit
def free(user: int, where: int, free_call: int) -> int:
    """Free the object at an offset; 0 or -errno: EFAULT, EALREADY, EOVERFLOW."""
    cache = load_plain_u64(user + CACHE)
    if cache != 0:
        if load_relaxed_u64(cache + LAST) == where and where != 0:
            store_relaxed_u32(cache + BACK_CLASS, load_relaxed_u32(cache + LAST_CLASS))
            return 0
        if _push(user, cache, where):
            return 0
    return call_native(free_call, user, where, 0, 0)
