"""How long will it run? The algorithm of native/core/schedpredict.c for numba, on the same memory.

Run times are in nanoseconds, if nobody has set thresholds in another unit.
"""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    jit,
    load_plain_u32,
    load_plain_u64,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u32,
    store_relaxed_u64,
)
from exo_um.bindings.layout import constant
from exo_um.sched.entity_jit import (
    AVERAGE,
    CELLS,
    COLD_FROM,
    COLD_LOG,
    FLAGS,
    HISTORY,
    HOT,
    KIND,
    NORMAL_FROM,
    NORMAL_LOG,
    PREDICTED,
    SAMPLES,
    TOTAL,
    entity_at,
    is_entity,
)

_ALPHA, _ALPHA_SHIFT = constant("EXO_SCHED_ALPHA"), constant("EXO_SCHED_ALPHA_SHIFT")
_RUN_MAX = constant("EXO_SCHED_RUN_MAX")
_SAMPLES_MAX = constant("EXO_SCHED_SAMPLES")
_CONTEXT_MASK = (1 << 2 * constant("EXO_SCHED_CONTEXT")) - 1
_BY_AVERAGE = constant("EXO_SCHED_BY_AVERAGE")
_GOLDEN, _CELL_SHIFT, _LOW_32 = 2654435769, 20, 0xFFFFFFFF
_FRACTION_BITS = 16


@jit
def log_of(run: int) -> int:
    """Return log2 of a run time + 1, with 16 fraction bits, linear between powers of two."""
    value = run + 1
    whole = 0
    rest = value
    for step in (32, 16, 8, 4, 2, 1):
        if rest >> step:
            rest >>= step
            whole += step
    above = value - (1 << whole)
    if whole > _FRACTION_BITS:
        fraction = above >> (whole - _FRACTION_BITS)
    else:
        fraction = above << (_FRACTION_BITS - whole)
    return (whole << _FRACTION_BITS) | fraction


@jit
def _cell_of(sched: int, entity: int) -> int:
    cell = ((load_plain_u32(entity + KIND) * _GOLDEN) & _LOW_32) >> _CELL_SHIFT
    return sched + CELLS + 4 * (cell ^ (load_relaxed_u32(entity + HISTORY) & _CONTEXT_MASK))


@jit
def _moved(average: int, sample: int) -> int:
    return average + (((sample - average) * _ALPHA) >> _ALPHA_SHIFT)


@jit
def _class_of(value: int, normal_from: int, cold_from: int) -> int:
    return (1 if value >= normal_from else 0) + (1 if value >= cold_from else 0)


@jit
def predict(sched: int, entity: int) -> int:
    """Return the class that is to be expected."""
    if load_plain_u32(sched + FLAGS) & _BY_AVERAGE:
        average = load_relaxed_u64(entity + AVERAGE)
        return _class_of(
            average, load_plain_u64(sched + NORMAL_FROM), load_plain_u64(sched + COLD_FROM)
        )
    log = load_relaxed_u32(_cell_of(sched, entity))
    if log == 0:
        latest = load_relaxed_u32(entity + HISTORY) & 3
        return HOT if latest == 0 else latest - 1
    return _class_of(log, load_plain_u32(sched + NORMAL_LOG), load_plain_u32(sched + COLD_LOG))


@jit
def _learn(sched: int, entity: int, run: int) -> None:
    cell = _cell_of(sched, entity)
    log = load_relaxed_u32(cell)
    sample = log_of(run)
    store_relaxed_u32(cell, max(sample if log == 0 else _moved(log, sample), 1))


@jit
def account(sched: int, index: int, run: int) -> None:
    """Note that the running entity has run for so long; decides its class."""
    if not is_entity(sched, index):
        return
    entity = entity_at(sched, index)
    run = min(max(run, 0), _RUN_MAX)
    _learn(sched, entity, run)
    samples = load_relaxed_u32(entity + SAMPLES)
    average = load_relaxed_u64(entity + AVERAGE)
    store_relaxed_u64(entity + AVERAGE, run if samples == 0 else _moved(average, run))
    if samples < _SAMPLES_MAX:
        store_relaxed_u32(entity + SAMPLES, samples + 1)
    normal_from, cold_from = (
        load_plain_u64(sched + NORMAL_FROM),
        load_plain_u64(sched + COLD_FROM),
    )
    newest = 1 + _class_of(run, normal_from, cold_from)
    history = (load_relaxed_u32(entity + HISTORY) << 2) | newest
    store_relaxed_u32(entity + HISTORY, history & _LOW_32)
    store_relaxed_u64(entity + TOTAL, load_relaxed_u64(entity + TOTAL) + run)
    store_relaxed_u32(entity + PREDICTED, predict(sched, entity))


@jit
def become(sched: int, index: int, kind: int) -> None:
    """Note that an entity is something else from now on."""
    if not is_entity(sched, index):
        return
    entity = entity_at(sched, index)
    store_relaxed_u32(entity + KIND, kind)
    store_relaxed_u32(entity + HISTORY, 0)
    store_relaxed_u32(entity + SAMPLES, 0)
    store_relaxed_u64(entity + AVERAGE, 0)
    store_relaxed_u32(entity + PREDICTED, predict(sched, entity))
