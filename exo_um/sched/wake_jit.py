"""Who is blocked is woken, by anybody: native/core/schedwake.c for numba, on the same memory.

helper is the address of exo_sched_help (`Scheduler.helper()`), which does what is rare.
"""

from __future__ import annotations

import errno

from exo_um.bindings.atomic_jit import (
    call_native,
    compare_exchange_u32,
    compare_exchange_u64,
    exchange_u32,
    fetch_add_u32,
    jit,
    load_acquire_u32,
    load_acquire_u64,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u32,
    store_release_u32,
    store_release_u64,
)
from exo_um.sched.entity_jit import (
    AFFINITY,
    ATTACHED,
    BACKLOG,
    BLOCKED,
    INBOX,
    LOOK,
    NEXT,
    OWNER,
    PUSHED,
    READY,
    RECEIVED,
    REPAIR,
    STOPPED,
    TOKEN,
    WAKING,
    WORD,
    class_of_next,
    cpu_at,
    cpu_count_of,
    cpu_of,
    entity_at,
    has_bit,
    is_entity,
    load_of,
    make_word,
    state_of,
)
from exo_um.sched.list_jit import enqueue, ring

_EINVAL = errno.EINVAL
_LISTED_AT_ONCE = 4


@jit
def target_of(sched: int, last: int, affinity: int) -> int:
    """Return the CPU for an entity that was last on that one."""
    count = cpu_count_of(sched)
    attached = load_acquire_u64(sched + ATTACHED)
    best, best_works, least = -1, False, 0
    for number in range(count):
        if not has_bit(affinity, number):
            continue
        works = has_bit(attached, number)
        load = load_of(cpu_at(sched, number))
        if best < 0 or (works and not best_works) or (works == best_works and load < least):
            best, best_works, least = number, works, load
    if last < count and (
        best < 0 or (has_bit(affinity, last) and has_bit(attached, last) == best_works)
    ):
        return last
    return max(best, 0)


@jit
def send(sched: int, number: int, owner: int, index: int, helper: int) -> None:
    """Put an entity that owner is waking into another CPU's inbox."""
    cpu, entity = cpu_at(sched, number), entity_at(sched, index)
    head = load_relaxed_u32(cpu + INBOX)
    store_relaxed_u32(entity + NEXT, head)
    while not compare_exchange_u32(cpu + INBOX, head, index):
        head = load_relaxed_u32(cpu + INBOX)
        store_relaxed_u32(entity + NEXT, head)
    fetch_add_u32(cpu + PUSHED, 1)
    attached = load_acquire_u64(sched + ATTACHED)
    if attached != 0 and not has_bit(attached, number):
        call_native(helper, sched, number, owner, STOPPED)
    else:
        ring(sched, number)


@jit
def wake(sched: int, cpu: int, owner: int, index: int, helper: int) -> int:
    """Wake an entity: 1; 0 if it is not blocked: its next block returns at once; -EINVAL.

    cpu: the one that the caller owns, or EXO_SCHED_NO_CPU. owner: the caller's number.
    """
    if not is_entity(sched, index):
        return -_EINVAL
    entity = entity_at(sched, index)
    exchange_u32(entity + TOKEN, 1)
    word = load_acquire_u64(entity + WORD)
    if state_of(word) != BLOCKED:
        return 0
    target = target_of(sched, cpu_of(word), load_relaxed_u64(entity + AFFINITY))
    if not compare_exchange_u64(entity + WORD, word, make_word(target, 0, WAKING, owner)):
        return 0
    exchange_u32(entity + TOKEN, 0)
    if target == cpu:
        enqueue(sched, cpu, index)
    else:
        send(sched, target, owner, index, helper)
    return 1


@jit
def _take_inbox(cpu: int) -> None:
    head = load_acquire_u32(cpu + INBOX)
    store_relaxed_u32(cpu + BACKLOG, head)
    while head != 0 and not compare_exchange_u32(cpu + INBOX, head, 0):
        head = load_acquire_u32(cpu + INBOX)
        store_relaxed_u32(cpu + BACKLOG, head)


@jit
def _list_one(sched: int, number: int) -> None:
    cpu = cpu_at(sched, number)
    index = load_relaxed_u32(cpu + BACKLOG)
    if not is_entity(sched, index):
        store_relaxed_u32(cpu + BACKLOG, 0)
        return
    entity = entity_at(sched, index)
    following = load_relaxed_u32(entity + NEXT)
    word = load_acquire_u64(entity + WORD)
    ours = state_of(word) == WAKING and cpu_of(word) == number
    if ours:
        store_release_u64(entity + WORD, make_word(number, class_of_next(entity), READY, 0))
    store_release_u32(cpu + BACKLOG, following if ours else 0)
    store_relaxed_u32(cpu + RECEIVED, load_relaxed_u32(cpu + RECEIVED) + 1)
    if ours:
        enqueue(sched, number, index)


@jit
def receive(sched: int, number: int, helper: int) -> None:
    """List some of those in the inbox: for the CPU's owner."""
    cpu = cpu_at(sched, number)
    if load_relaxed_u32(cpu + REPAIR) != 0:
        call_native(helper, sched, number, load_relaxed_u32(cpu + OWNER) - 1, LOOK)
    if load_relaxed_u32(cpu + BACKLOG) == 0:
        _take_inbox(cpu)
    for _ in range(_LISTED_AT_ONCE):
        if load_relaxed_u32(cpu + BACKLOG) != 0:
            _list_one(sched, number)
