"""The scheduler's lists, the cold ones' lock, and bells: native/core/schedlist.c for numba."""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    compare_exchange_u32,
    full_fence,
    host_call,
    jit,
    load_acquire_u64,
    load_plain_u32,
    load_relaxed_u8,
    load_relaxed_u32,
    load_relaxed_u64,
    spin_pause,
    store_relaxed_u32,
    store_relaxed_u64,
    store_release_u32,
    store_release_u64,
)
from exo_um.ipc.bell_jit import ring_bell
from exo_um.ipc.slot_jit import BELL_WANTED, is_dead
from exo_um.sched.entity_jit import (
    AFFINITY,
    AGE_COLD,
    AGE_NORMAL,
    BELL,
    COLD,
    COLD_LIST,
    DUE,
    ENTITY_COUNT,
    IDLE,
    LIST_SIZE,
    LISTS,
    LOCK,
    NEXT,
    NORMAL,
    ORDER,
    OWNER,
    OWNERS,
    PICKS,
    QUEUED,
    READY,
    SERVED,
    TAIL,
    WORD,
    can_lose,
    class_of_next,
    cpu_at,
    cpu_count_of,
    entity_at,
    has_bit,
    is_entity,
    make_word,
)

_SYS_SCHED_YIELD = 24
_SPINS = 64


@jit
def append(sched: int, queue: int, index: int) -> None:
    """Put an entity at the end of a list."""
    tail = load_relaxed_u32(queue + TAIL)
    store_relaxed_u32(entity_at(sched, index) + NEXT, 0)
    if load_relaxed_u32(queue) != 0 and is_entity(sched, tail):
        store_relaxed_u32(entity_at(sched, tail) + NEXT, index)
    else:
        store_relaxed_u32(queue, index)
    store_relaxed_u32(queue + TAIL, index)


@jit
def take_first(sched: int, queue: int) -> int:
    """Take the first of a list out; 0 if there is none."""
    index = load_relaxed_u32(queue)
    if not is_entity(sched, index):
        store_relaxed_u32(queue, 0)
        return 0
    store_relaxed_u32(queue, load_relaxed_u32(entity_at(sched, index) + NEXT))
    return index


@jit
def _rebuild_cold(sched: int, number: int) -> None:
    queue = cpu_at(sched, number) + COLD_LIST
    mine = make_word(number, COLD, READY, 0)
    store_relaxed_u32(queue, 0)
    for index in range(1, load_plain_u32(sched + ENTITY_COUNT)):
        if load_acquire_u64(entity_at(sched, index) + WORD) == mine:
            append(sched, queue, index)


@jit
def try_lock(sched: int, number: int, mine: int) -> bool:
    """Lock a CPU's cold list, if it is free or its holder dead; mine: 1 + one's number."""
    lock = cpu_at(sched, number) + LOCK
    seen = load_relaxed_u32(lock)
    if seen != 0 and not is_dead(sched + OWNERS, seen - 1):
        return False
    if not compare_exchange_u32(lock, seen, mine):
        return False
    if seen != 0:
        _rebuild_cold(sched, number)
    return True


@jit
def lock_cold(sched: int, number: int, mine: int) -> None:
    """Lock a CPU's cold list."""
    tries = 1
    while not try_lock(sched, number, mine):
        if tries % _SPINS == 0:
            host_call(_SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0)
        else:
            spin_pause()
        tries += 1


@jit
def unlock_cold(sched: int, number: int) -> None:
    """Unlock a CPU's cold list."""
    store_release_u32(cpu_at(sched, number) + LOCK, 0)


@jit
def ring(sched: int, number: int) -> None:
    """Wake the owner of a CPU, if it sleeps."""
    bell = cpu_at(sched, number) + BELL
    full_fence()
    if load_relaxed_u32(bell + BELL_WANTED) != 0:
        ring_bell(bell)


@jit
def offer(sched: int, cpu: int, affinity: int) -> None:
    """Ring the nearest sleeping CPU that may take an entity."""
    idle = load_relaxed_u64(sched + IDLE) & affinity
    count = cpu_count_of(sched)
    for i in range(count - 1):
        number = load_relaxed_u8(cpu_at(sched, cpu) + ORDER + i)
        if number < count and number != cpu and has_bit(idle, number):
            ring(sched, number)
            return


@jit
def _note_first(cpu: int, kind: int) -> None:
    picks = load_relaxed_u64(cpu + PICKS)
    due = picks + (AGE_COLD if kind == COLD else AGE_NORMAL)
    store_relaxed_u64(cpu + SERVED + 8 * (kind - 1), picks)
    if due < load_relaxed_u64(cpu + DUE):
        store_relaxed_u64(cpu + DUE, due)


@jit
def _enqueue_cold(sched: int, number: int, index: int) -> None:
    cpu, entity = cpu_at(sched, number), entity_at(sched, index)
    lock_cold(sched, number, load_relaxed_u32(cpu + OWNER))
    if load_relaxed_u32(cpu + COLD_LIST) == 0:
        _note_first(cpu, COLD)
    store_release_u64(entity + WORD, make_word(number, COLD, READY, 0))
    append(sched, cpu + COLD_LIST, index)
    unlock_cold(sched, number)
    full_fence()
    if can_lose(cpu) and load_relaxed_u64(sched + IDLE) != 0:
        offer(sched, number, load_relaxed_u64(entity + AFFINITY))


@jit
def enqueue(sched: int, number: int, index: int) -> None:
    """List an entity by what is predicted of it: for the CPU's owner."""
    cpu, entity = cpu_at(sched, number), entity_at(sched, index)
    kind = class_of_next(entity)
    store_relaxed_u32(cpu + QUEUED, load_relaxed_u32(cpu + QUEUED) + 1)
    if kind == COLD:
        _enqueue_cold(sched, number, index)
        return
    queue = cpu + LISTS + LIST_SIZE * kind
    if kind == NORMAL and load_relaxed_u32(queue) == 0:
        _note_first(cpu, kind)
    store_release_u64(entity + WORD, make_word(number, kind, READY, 0))
    append(sched, queue, index)
