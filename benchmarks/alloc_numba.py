"""Cycles of an alloc and its free through numba: `python -P benchmarks/alloc_numba.py [SIZE]`.

As benchmarks/native/malloc.c's pair, with the calls of exo_um.mm.alloc_jit compiled into the loop.
"""

import os
import sys

import numpy as np
from numba import njit

from exo_um.bindings.atomic_jit import rdtscp
from exo_um.mm.alloc_jit import alloc, free
from exo_um.mm.heap import Heap, slow_calls

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]
SAMPLES, PAIRS = 1000, 1000


# Not cached: the cache does not see that what is called has changed.
@njit(nogil=True)  # type: ignore[untyped-decorator]
def pairs(user: int, size: int, alloc_call: int, free_call: int, samples: Samples) -> int:
    """Allocate and free again and again; cycles per pair into samples, how often it failed."""
    failed = 0
    for i in range(-10, SAMPLES):
        began = rdtscp()
        for _ in range(PAIRS):
            failed += free(user, alloc(user, size, alloc_call), free_call)
        if i >= 0:
            samples[i] = (rdtscp() - began) / PAIRS
    return failed


def main() -> None:
    """Print the samples."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    user = Heap.create(1 << 24).attach(1)
    samples = np.zeros(SAMPLES)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    if pairs(user.address, size, *slow_calls(), samples) != 0:
        sys.exit("a free failed")
    print("\n".join(f"{sample:.1f}" for sample in samples))


if __name__ == "__main__":
    main()
