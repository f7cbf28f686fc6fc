"""Cycles for a pick of the scheduler's, through numba.

`python -P benchmarks/sched_numba.py hot|mean|p99`: as benchmarks/native/sched.c, jitted.
"""

import os
import sys

import numpy as np

from exo_um.bindings.atomic_jit import jit, ordered_cycles
from exo_um.sched.pick_jit import block, pick, requeue
from exo_um.sched.predict_jit import account
from exo_um.sched.scheduler import NO_CPU, Scheduler
from exo_um.sched.wake_jit import wake

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]
ENTITIES = 1024
BATCH, BATCHES = 32, 5000
ROUND, ROUNDS, WARM = 1000, 60, 5
HOT_NS, NORMAL_NS, COLD_NS = 100_000, 3_000_000, 40_000_000
FIRST_MIXED, LAST_MIXED = 100, 300


@jit
def run_of(index: int) -> int:
    """Return the run time of an entity: of ten, seven are hot, two normal, one cold."""
    if index % 10 < 7:
        return HOT_NS
    return NORMAL_NS if index % 10 < 9 else COLD_NS


@jit
def give_up(sched: int, index: int, number: int, helper: int) -> None:
    """Account and requeue; of mixed entities, every fourth blocks and is woken from outside."""
    mixed = index >= FIRST_MIXED
    account(sched, index, run_of(index) if mixed else HOT_NS)
    if number % 4 != 0 or not mixed:
        requeue(sched, 0, index, helper)
    else:
        block(sched, 0, index, helper)
        wake(sched, NO_CPU, 0, index, helper)


@jit
def empty(samples: Samples) -> None:
    """Time nothing, again and again."""
    for i in range(len(samples)):
        began = ordered_cycles()
        samples[i] = ordered_cycles() - began


@jit
def batches(sched: int, helper: int, floor: float, picked: Samples, samples: Samples) -> None:
    """Pick 32 times behind each other, per pick; some are woken from outside before the next."""
    for i in range(WARM + BATCHES):
        began = ordered_cycles()
        for j in range(BATCH):
            picked[j] = pick(sched, 0, helper)
        took = ordered_cycles() - began - floor
        for j in range(BATCH):
            give_up(sched, int(picked[j]), j, helper)
        if i >= WARM:
            samples[i - WARM] = took / BATCH


@jit
def singly(sched: int, helper: int, floor: float, samples: Samples) -> None:
    """Pick, timed one by one."""
    for i in range(len(samples)):
        began = ordered_cycles()
        index = pick(sched, 0, helper)
        samples[i] = max(ordered_cycles() - began - floor, 0)
        give_up(sched, index, i, helper)


def main() -> int:
    """Fill a scheduler, pick from it, print the samples."""
    what = sys.argv[1] if len(sys.argv) > 1 else "hot"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sched, helper = Scheduler.create(2, ENTITIES), Scheduler.helper()
    sched.attach(0)
    for index in range(1, FIRST_MIXED) if what == "hot" else range(FIRST_MIXED, LAST_MIXED):
        sched.add(index, index)
        for _ in range(8):
            sched.account(index, HOT_NS if what == "hot" else run_of(index))
        sched.wake(index, 0)
    samples = np.zeros(ROUND)
    empty(samples)
    empty(samples)
    floor = float(np.median(samples))
    samples = np.zeros(ROUND * (WARM + ROUNDS) if what == "p99" else BATCHES)
    if what == "p99":
        singly(sched.address, helper, floor, samples)
        samples = np.sort(samples.reshape(-1, ROUND)[WARM:])[:, ROUND * 99 // 100]
    else:
        batches(sched.address, helper, floor, np.zeros(BATCH, np.int64), samples)
    print("\n".join(f"{sample:.1f}" for sample in samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
