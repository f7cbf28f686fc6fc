"""Cycles from one context to another, one way, from Python: numba calls exo_switch(), or greenlet.

`python -P benchmarks/switch_python.py numba|greenlet`: as benchmarks/native/switch.c.
"""

import os
import sys

import numpy as np

from exo_um.bindings.atomic_jit import jit, rdtscp
from exo_um.bindings.context import Context
from exo_um.sched.switch_jit import ENTRY, switch

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]
SAMPLES, WARM, BATCH = 300, 20, 1000


@jit
def take(function: int, mine: int, its: int, samples: Samples) -> None:
    """Switch to and fro, again and again; cycles one way."""
    for i in range(-WARM, samples.size):
        began = rdtscp()
        for _ in range(BATCH):
            switch(function, mine, its)
        if i >= 0:
            samples[i] = (rdtscp() - began) / (2 * BATCH)


def numba_samples() -> Samples:
    """Switch between two jitted functions."""
    import numba

    @numba.cfunc(ENTRY)  # type: ignore[untyped-decorator]
    def back(pair: int) -> None:
        words = numba.carray(pair, 3)
        while True:
            switch(words[0], words[2], words[1])

    pair = np.zeros(3, np.int64)
    samples = np.zeros(SAMPLES)
    with Context(back.address, pair.ctypes.data) as its, Context() as mine:
        pair[:] = Context.switch_address(), mine.address, its.address
        take(Context.switch_address(), mine.address, its.address, samples)
    return samples


def greenlet_samples() -> Samples:
    """Switch between two greenlets."""
    import greenlet

    here = greenlet.getcurrent()

    def back() -> None:
        while True:
            here.switch()

    there = greenlet.greenlet(back).switch
    samples = np.zeros(SAMPLES)
    for i in range(-WARM, SAMPLES):
        began = rdtscp_now()
        for _ in range(BATCH):
            there()
        samples[max(i, 0)] = (rdtscp_now() - began) / (2 * BATCH)
    return samples


@jit
def rdtscp_now() -> int:
    """Return the time stamp counter, for Python."""
    return rdtscp()


def main() -> int:
    """Print the samples."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    what = sys.argv[1] if len(sys.argv) > 1 else "numba"
    samples = numba_samples() if what == "numba" else greenlet_samples()
    print("\n".join(f"{sample:.1f}" for sample in samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
