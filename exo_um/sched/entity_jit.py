"""The scheduler's memory as numbers: native/include/exo/sched.h, and an entity's word taken apart.

Addresses are ints. A word, from the lowest bit: CPU (16), class (8), state (8), waker (16).
"""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    jit,
    load_plain_u32,
    load_plain_u64,
    load_relaxed_u32,
)
from exo_um.bindings.layout import constant, offset, size

SCHED_SIZE, CPU_SIZE = size("exo_sched"), size("exo_sched_cpu")
CPU_COUNT = offset("exo_sched", "cpu_count")
ENTITY_COUNT = offset("exo_sched", "entity_count")
ENTITIES_AWAY = offset("exo_sched", "entities_away")
STRIDE = offset("exo_sched", "stride")
NORMAL_FROM, COLD_FROM = offset("exo_sched", "normal_from"), offset("exo_sched", "cold_from")
NORMAL_LOG, COLD_LOG = offset("exo_sched", "normal_log"), offset("exo_sched", "cold_log")
FLAGS = offset("exo_sched", "flags")
OWNERS = offset("exo_sched", "owners")
ATTACHED, IDLE = offset("exo_sched", "attached"), offset("exo_sched", "idle")
CELLS = offset("exo_sched", "cells")

OWNER, RUNNING_ENTITY = offset("exo_sched_cpu", "owner"), offset("exo_sched_cpu", "running")
LISTS = offset("exo_sched_cpu", "list")
PICKS, DUE = offset("exo_sched_cpu", "picks"), offset("exo_sched_cpu", "due")
SERVED = offset("exo_sched_cpu", "served")
QUEUED, STOLEN = offset("exo_sched_cpu", "queued"), offset("exo_sched_cpu", "stolen")
INBOX, BACKLOG = offset("exo_sched_cpu", "inbox"), offset("exo_sched_cpu", "backlog")
PUSHED, RECEIVED = offset("exo_sched_cpu", "pushed"), offset("exo_sched_cpu", "received")
REPAIR = offset("exo_sched_cpu", "repair")
BELL = offset("exo_sched_cpu", "bell")
LOCK = offset("exo_sched_cpu", "lock")
COLD_LIST = offset("exo_sched_cpu", "cold")
ORDER = offset("exo_sched_cpu", "order")

LIST_SIZE, TAIL = size("exo_sched_list"), offset("exo_sched_list", "tail")  # head is at 0

WORD, NEXT = offset("exo_sched_entity", "word"), offset("exo_sched_entity", "next")
TOKEN = offset("exo_sched_entity", "token")
AFFINITY = offset("exo_sched_entity", "affinity")
AVERAGE, TOTAL = offset("exo_sched_entity", "average"), offset("exo_sched_entity", "total")
SAMPLES, HISTORY = offset("exo_sched_entity", "samples"), offset("exo_sched_entity", "history")
KIND, PREDICTED = offset("exo_sched_entity", "kind"), offset("exo_sched_entity", "predicted")

HOT, NORMAL, COLD = (
    constant("EXO_SCHED_HOT"),
    constant("EXO_SCHED_NORMAL"),
    constant("EXO_SCHED_COLD"),
)
CLASSES = constant("EXO_SCHED_CLASSES")
FREE, BLOCKED = constant("EXO_SCHED_FREE"), constant("EXO_SCHED_BLOCKED")
WAKING, READY = constant("EXO_SCHED_WAKING"), constant("EXO_SCHED_READY")
RUNNING, LOST = constant("EXO_SCHED_RUNNING"), constant("EXO_SCHED_LOST")
AGE_NORMAL, AGE_COLD = constant("EXO_SCHED_AGE_NORMAL"), constant("EXO_SCHED_AGE_COLD")
NEVER = constant("EXO_SCHED_NEVER")
STOPPED, LOOK = constant("EXO_SCHED_STOPPED"), constant("EXO_SCHED_LOOK")
_CLASS_SHIFT = constant("EXO_SCHED_CLASS_SHIFT")
_STATE_SHIFT = constant("EXO_SCHED_STATE_SHIFT")
_OWNER_SHIFT = constant("EXO_SCHED_OWNER_SHIFT")
_LOW_16, _LOW_8, _LOW_32 = 0xFFFF, 0xFF, 0xFFFFFFFF


@jit
def cpu_at(sched: int, number: int) -> int:
    """Return the address of a CPU's queues."""
    return sched + SCHED_SIZE + number * CPU_SIZE


@jit
def cpu_count_of(sched: int) -> int:
    """Return the number of CPUs."""
    return load_plain_u32(sched + CPU_COUNT)


@jit
def is_entity(sched: int, index: int) -> bool:
    """Whether there is an entity of that number."""
    return 0 < index < load_plain_u32(sched + ENTITY_COUNT)


@jit
def entity_at(sched: int, index: int) -> int:
    """Return the address of an entity."""
    first = sched + load_plain_u64(sched + ENTITIES_AWAY)
    return first + index * load_plain_u64(sched + STRIDE)


@jit
def make_word(cpu: int, kind: int, state: int, owner: int) -> int:
    """Return an entity's word; kind: its class."""
    return cpu | (kind << _CLASS_SHIFT) | (state << _STATE_SHIFT) | (owner << _OWNER_SHIFT)


@jit
def cpu_of(word: int) -> int:
    """Return the CPU of a word."""
    return word & _LOW_16


@jit
def state_of(word: int) -> int:
    """Return the state of a word."""
    return (word >> _STATE_SHIFT) & _LOW_8


@jit
def class_of_next(entity: int) -> int:
    """Return the class that an entity's next run is expected to have."""
    return min(load_relaxed_u32(entity + PREDICTED), COLD)


@jit
def has_bit(mask: int, cpu: int) -> bool:
    """Whether a CPU is in a mask."""
    return (mask >> cpu) & 1 != 0


@jit
def waiting_on(cpu: int) -> int:
    """Return how many wait in a CPU's lists."""
    return (load_relaxed_u32(cpu + QUEUED) - load_relaxed_u32(cpu + STOLEN)) & _LOW_32


@jit
def load_of(cpu: int) -> int:
    """Return how many a CPU has in all, about."""
    inside = load_relaxed_u32(cpu + PUSHED) - load_relaxed_u32(cpu + RECEIVED)
    running = 1 if load_relaxed_u32(cpu + RUNNING_ENTITY) != 0 else 0
    return (waiting_on(cpu) + inside + running) & _LOW_32


@jit
def can_lose(cpu: int) -> bool:
    """Whether a cold entity would wait there."""
    return load_relaxed_u32(cpu + RUNNING_ENTITY) != 0 or waiting_on(cpu) > 1
