"""Who runs next: native/core/schedpick.c and schedsteal.c for numba, on the same memory.

For the owner of a CPU. helper is the address of exo_sched_help (`Scheduler.helper()`).
"""

from __future__ import annotations

from exo_um.bindings.atomic_jit import (
    full_fence,
    jit,
    load_relaxed_u8,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u32,
    store_relaxed_u64,
    store_release_u64,
)
from exo_um.sched.entity_jit import (
    AFFINITY,
    AGE_COLD,
    AGE_NORMAL,
    BACKLOG,
    BLOCKED,
    CLASSES,
    COLD,
    COLD_LIST,
    DUE,
    HOT,
    IDLE,
    INBOX,
    LIST_SIZE,
    LISTS,
    NEVER,
    NEXT,
    NORMAL,
    ORDER,
    OWNER,
    PICKS,
    QUEUED,
    READY,
    REPAIR,
    RUNNING,
    RUNNING_ENTITY,
    SERVED,
    STOLEN,
    TAIL,
    TOKEN,
    WAKING,
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
from exo_um.sched.list_jit import enqueue, lock_cold, offer, take_first, try_lock, unlock_cold
from exo_um.sched.wake_jit import receive, send, target_of, wake

_LOOK_AT = 8
_EVERYWHERE = -1


@jit
def _take_cold(sched: int, number: int) -> int:
    cpu = cpu_at(sched, number)
    if load_relaxed_u32(cpu + COLD_LIST) == 0:
        return 0
    lock_cold(sched, number, load_relaxed_u32(cpu + OWNER))
    index = take_first(sched, cpu + COLD_LIST)
    if index != 0:
        store_relaxed_u64(entity_at(sched, index) + WORD, make_word(number, COLD, RUNNING, 0))
    unlock_cold(sched, number)
    return index


@jit
def _take(sched: int, number: int, kind: int) -> int:
    cpu = cpu_at(sched, number)
    if kind == COLD:
        index = _take_cold(sched, number)
    else:
        index = take_first(sched, cpu + LISTS + LIST_SIZE * kind)
    if index != 0 and kind != HOT:
        store_relaxed_u64(cpu + SERVED + 8 * (kind - 1), load_relaxed_u64(cpu + PICKS))
    return index


@jit
def _is_overdue(cpu: int, kind: int, age: int) -> bool:
    return load_relaxed_u64(cpu + PICKS) - load_relaxed_u64(cpu + SERVED + 8 * (kind - 1)) >= age


@jit
def _set_due(cpu: int) -> None:
    due = NEVER
    if load_relaxed_u32(cpu + LISTS + LIST_SIZE * NORMAL) != 0:
        due = load_relaxed_u64(cpu + SERVED + 8 * (NORMAL - 1)) + AGE_NORMAL
    if load_relaxed_u32(cpu + COLD_LIST) != 0:
        due = min(due, load_relaxed_u64(cpu + SERVED + 8 * (COLD - 1)) + AGE_COLD)
    store_relaxed_u64(cpu + DUE, due)


@jit
def _choose(sched: int, number: int) -> int:
    cpu = cpu_at(sched, number)
    index = 0
    if _is_overdue(cpu, COLD, AGE_COLD):
        index = _take(sched, number, COLD)
    if index == 0 and _is_overdue(cpu, NORMAL, AGE_NORMAL):
        index = _take(sched, number, NORMAL)
    for kind in range(CLASSES):
        if index == 0:
            index = _take(sched, number, kind)
    _set_due(cpu)
    return index


@jit
def _take_for(sched: int, queue: int, cpu: int) -> int:
    index = load_relaxed_u32(queue)
    before = 0
    for _ in range(_LOOK_AT):
        if not is_entity(sched, index):
            return 0
        entity = entity_at(sched, index)
        following = load_relaxed_u32(entity + NEXT)
        if has_bit(load_relaxed_u64(entity + AFFINITY), cpu):
            store_relaxed_u32(queue if before == 0 else entity_at(sched, before) + NEXT, following)
            if load_relaxed_u32(queue + TAIL) == index:
                store_relaxed_u32(queue + TAIL, before)
            store_release_u64(entity + WORD, make_word(cpu, COLD, READY, 0))
            return index
        before, index = index, following
    return 0


@jit
def _steal_from(sched: int, number: int, cpu: int) -> int:
    victim = cpu_at(sched, number)
    if load_relaxed_u32(victim + COLD_LIST) == 0 or not can_lose(victim):
        return 0
    if not try_lock(sched, number, load_relaxed_u32(cpu_at(sched, cpu) + OWNER)):
        return 0
    index = _take_for(sched, victim + COLD_LIST, cpu)
    if index != 0:
        store_relaxed_u32(victim + STOLEN, load_relaxed_u32(victim + STOLEN) + 1)
    unlock_cold(sched, number)
    return index


@jit
def _steal(sched: int, cpu: int) -> int:
    count = cpu_count_of(sched)
    for i in range(count - 1):
        number = load_relaxed_u8(cpu_at(sched, cpu) + ORDER + i)
        if number < count and number != cpu:
            index = _steal_from(sched, number, cpu)
            if index != 0:
                return index
    return 0


@jit
def _start(sched: int, number: int, index: int, kind: int) -> int:
    store_relaxed_u32(cpu_at(sched, number) + RUNNING_ENTITY, index)
    store_relaxed_u64(entity_at(sched, index) + WORD, make_word(number, kind, RUNNING, 0))
    return index


@jit
def _pick_slowly(sched: int, number: int) -> int:
    cpu = cpu_at(sched, number)
    index = _choose(sched, number)
    if index != 0:
        store_relaxed_u32(cpu + QUEUED, load_relaxed_u32(cpu + QUEUED) - 1)
    else:
        index = _steal(sched, number)
    if index == 0:
        return 0
    return _start(sched, number, index, class_of_next(entity_at(sched, index)))


@jit
def _receive(sched: int, number: int, helper: int) -> None:
    cpu = cpu_at(sched, number)
    receive(sched, number, helper)
    if (
        load_relaxed_u32(cpu + COLD_LIST) != 0
        and load_relaxed_u64(sched + IDLE) != 0
        and can_lose(cpu)
    ):
        offer(sched, number, _EVERYWHERE)


@jit
def pick(sched: int, number: int, helper: int) -> int:
    """Return the entity that is to run now, 0 if nobody is."""
    cpu = cpu_at(sched, number)
    picks = load_relaxed_u64(cpu + PICKS) + 1
    store_relaxed_u64(cpu + PICKS, picks)
    rare = (
        load_relaxed_u32(cpu + INBOX)
        | load_relaxed_u32(cpu + BACKLOG)
        | load_relaxed_u32(cpu + REPAIR)
    )
    if rare != 0:
        _receive(sched, number, helper)
    index = load_relaxed_u32(cpu + LISTS)
    if picks >= load_relaxed_u64(cpu + DUE) or not is_entity(sched, index):
        return _pick_slowly(sched, number)
    store_relaxed_u32(cpu + LISTS, load_relaxed_u32(entity_at(sched, index) + NEXT))
    store_relaxed_u32(cpu + QUEUED, load_relaxed_u32(cpu + QUEUED) - 1)
    return _start(sched, number, index, HOT)


@jit
def requeue(sched: int, number: int, index: int, helper: int) -> None:
    """Let the running entity go on later."""
    cpu, entity = cpu_at(sched, number), entity_at(sched, index)
    affinity = load_relaxed_u64(entity + AFFINITY)
    store_relaxed_u32(cpu + RUNNING_ENTITY, 0)
    if has_bit(affinity, number):
        enqueue(sched, number, index)
        return
    target = target_of(sched, number, affinity)
    if target == number:
        enqueue(sched, number, index)
        return
    owner = load_relaxed_u32(cpu + OWNER) - 1
    store_release_u64(entity + WORD, make_word(target, 0, WAKING, owner))
    send(sched, target, owner, index, helper)


@jit
def block(sched: int, number: int, index: int, helper: int) -> None:
    """Block the running entity until it is woken, unless it has been."""
    cpu, entity = cpu_at(sched, number), entity_at(sched, index)
    store_relaxed_u32(cpu + RUNNING_ENTITY, 0)
    store_release_u64(entity + WORD, make_word(number, class_of_next(entity), BLOCKED, 0))
    full_fence()
    if load_relaxed_u32(entity + TOKEN) != 0:
        wake(sched, number, load_relaxed_u32(cpu + OWNER) - 1, index, helper)
