"""The allocator's first level for numba: native/core/alloccache.c on the same memory.

user is the address of a struct exo_heap_user, an object's name its offset in the heap. What an
owner's cache cannot serve goes to the C core, by the addresses in exo_um.mm.heap.slow_calls().
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
def alloc(user: int, length: int, alloc_call: int) -> int:
    """Return the offset of an object of length bytes, aligned to 16; -errno: ENOMEM, EUCLEAN."""
    cache = load_plain_u64(user + CACHE)
    if 0 <= length <= SMALL_LIMIT and cache != 0:
        place = cache + LIST + 8 * int(_CLASSES[(length + 15) >> 4])
        found = load_relaxed_u64(place)
        if 0 < found < load_plain_u64(user + SIZE):
            store_release_u64(place, load_relaxed_u64(load_plain_u64(user + BASE) + found))
            return found
    error = call_native(alloc_call, user, length, 0, 0)
    return error if error != 0 else load_relaxed_u64(user + RESULT)


@jit
def _push(user: int, cache: int, kind: int, where: int) -> bool:
    base = load_plain_u64(user + BASE)
    place = cache + LIST + 8 * kind
    head = load_relaxed_u64(place)
    if not 0 <= head < load_plain_u64(user + SIZE):
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
    if cache != 0 and 0 < where < load_plain_u64(user + SIZE) and where & 15 == 0:
        base = load_plain_u64(user + BASE)
        kind = load_relaxed_u8(base + CLASSES_AT + (where >> CHUNK_SHIFT))
        if 0 < kind < CLASS_COUNT and _push(user, cache, kind, where):
            return 0
    return call_native(free_call, user, where, 0, 0)
