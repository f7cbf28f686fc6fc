/* Finds the objects of killed tasks that nobody has, and makes them free again.
 *
 * Who has ends are entries of fd tables, in use or in a task's hand, and tasks that are at work on one
 * (held_objects). An end goes from a table to a hand or the other way round at any moment, so tables are
 * looked at, then hands, then tables once more: one of the three sees it. task_lock and table_lock
 * are held by the caller; a guest may have written anything anywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "core/epoll.h"
#include "core/sock.h"
#include "host.h"

static void count_table(struct exo_kr *kr, uint64_t offset, uint64_t *ends)
{
    if (offset == 0 || offset % 8 != 0 || offset > kr->size - sizeof(struct exo_fd_table))
        return;
    const struct exo_fd_table *table = exo_kr_at(kr, offset);
    uint64_t at = table->entries, used = table->used;
    if (at % 8 != 0 || at >= kr->size || used > (kr->size - at) / sizeof(struct exo_fd))
        return;
    const struct exo_fd *entries = exo_kr_at(kr, at);
    for (uint64_t i = 0; i < used; i++) {
        uint32_t index = entries[i].stamp % EXO_OBJECT_COUNT;
        if (entries[i].host < 0 || !(entries[i].flags & EXO_FD_OBJECT))
            continue;
        if (entries[i].flags & EXO_FD_PIPE_WRITES)
            ends[index] += 1ULL << EXO_ENDS_BITS;
        else
            ends[index]++;
    }
}

/* Offsets of tables that have been counted, by their hash: twice as many places as there are tasks. */
struct counted {
    uint64_t table[2 * EXO_TASK_COUNT];
};

static bool is_first(struct counted *counted, uint64_t table)
{
    uint64_t count = sizeof counted->table / sizeof *counted->table;
    uint64_t at = table * 0x9e3779b97f4a7c15U >> 32;
    for (;; at++) {
        uint64_t *place = &counted->table[at % count];
        if (*place == 0)
            *place = table;
        else if (*place == table)
            return false;
        else
            continue;
        return true;
    }
}

/* A table that several tasks share counts once. */
static void count_tables(struct exo_kr *kr, struct counted *counted, uint64_t *ends)
{
    memset(counted, 0, sizeof *counted);
    for (uint32_t i = 0; i < kr->task_high && i < EXO_TASK_COUNT; i++) {
        const struct exo_task *task = &kr->tasks[i];
        if (task->state == EXO_TASK_FREE)
            continue;
        uint64_t table = __atomic_load_n(&task->fd_table, __ATOMIC_ACQUIRE);
        if (table != 0 && is_first(counted, table))
            count_table(kr, table, ends);
        count_table(kr, task->held_table, ends);
    }
}

static void mark_hands(const struct exo_kr *kr, bool *held)
{
    for (uint32_t i = 0; i < kr->task_high && i < EXO_TASK_COUNT; i++) {
        const struct exo_task *task = &kr->tasks[i];
        uint32_t pair = __atomic_load_n(&task->held_objects, __ATOMIC_ACQUIRE);
        if (task->state == EXO_TASK_FREE || !exo_alive_test(task))
            continue;
        held[pair % EXO_OBJECT_COUNT] = true;
        held[(pair >> 16) % EXO_OBJECT_COUNT] = true;
    }
}

/* The words as they are, of all that was ever used. */
static void read_ends(struct exo_kr *kr, uint64_t *said)
{
    for (uint32_t kind = 0; kind < EXO_KIND_COUNT; kind++) {
        const struct exo_kind_row *row = &exo_kinds[kind];
        for (uint32_t i = 1; i <= kr->object_high[kind] && i < row->count; i++)
            said[row->first + i] =
                __atomic_load_n(&exo_object_at(kr, row->first + i)->ends, __ATOMIC_ACQUIRE);
    }
}

static bool may_fly(enum exo_kind kind)
{
    return kind == EXO_KIND_SOCK || kind == EXO_KIND_EPOLL;
}

/* Ends that nobody has: what watched them does so no longer, what watches the other one is told. */
static void leave(struct exo_kr *kr, uint32_t index, uint64_t said, uint64_t after)
{
    for (uint32_t side = 0; side < 2; side++) {
        uint64_t mask = (uint64_t)EXO_ENDS_MASK << side * EXO_ENDS_BITS;
        enum exo_kind kind = exo_object_kind(index);
        if ((after & mask) != 0 || (side != 0 && kind != EXO_KIND_PIPE))
            continue;
        if (may_fly(kind) && (said & (uint64_t)EXO_ENDS_MASK << EXO_ENDS_BITS) != 0)
            continue; /* it is on its way in a message */
        exo_object_leave(kr, index | (side != 0 ? EXO_OBJECT_WRITES : 0));
        if ((said & mask) != 0)
            exo_object_left(kr, index | (side != 0 ? EXO_OBJECT_WRITES : 0));
    }
}

/* What both looks agree on is so, if nothing was counted meanwhile; said is the word as it was. True:
 * nobody has it. */
static bool settle(struct exo_kr *kr, uint32_t number, uint64_t before, uint64_t after,
                   uint64_t said)
{
    struct exo_object *object = exo_object_at(kr, number);
    uint64_t changes = said & ~(EXO_ENDS_CHANGE - 1), word = said;
    if (may_fly(exo_object_kind(number))) /* what is on its way in messages nobody sees */
        changes |= said & ((uint64_t)EXO_ENDS_MASK << EXO_ENDS_BITS);
    if (object->mode == 0 || before != after ||
        !__atomic_compare_exchange_n(&object->ends, &word, changes | after, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    leave(kr, number, said, after);
    return after == 0 && changes % EXO_ENDS_CHANGE == 0;
}

/* Nobody has it. */
static void drop(struct exo_kr *kr, uint32_t number)
{
    if (exo_object_kind(number) == EXO_KIND_SOCK) {
        if (!exo_sock_is_stray(kr, number))
            return;
        exo_sock_part(kr, number);
    }
    exo_object_free(kr, number);
}

/* All that was ever used, of every kind. */
static void settle_all(struct exo_kr *kr, const uint64_t *before, const uint64_t *after,
                       const uint64_t *said, const bool *held, bool *gone)
{
    for (uint32_t kind = 0; kind < EXO_KIND_COUNT; kind++) {
        const struct exo_kind_row *row = &exo_kinds[kind];
        for (uint32_t i = 1; i <= kr->object_high[kind] && i < row->count; i++)
            if (!held[row->first + i])
                gone[row->first + i] = settle(kr, row->first + i, before[row->first + i],
                                              after[row->first + i], said[row->first + i]);
    }
}

/* Sets: who sleeps on them, and groups that are in nobody's hand. */
static void settle_sets(struct exo_kr *kr, const bool *held)
{
    const struct exo_kind_row *row = &exo_kinds[EXO_KIND_EPOLL];
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_EPOLL] && i < row->count; i++)
        if (exo_object_at(kr, row->first + i)->mode != 0)
            exo_epoll_recount(kr, row->first + i);
    for (uint32_t i = 1; i <= kr->group_high && i < EXO_WATCH_GROUP_COUNT; i++) {
        uint32_t set = __atomic_load_n(&kr->watch_groups[i].set, __ATOMIC_ACQUIRE);
        if (set != 0 && !held[set % EXO_OBJECT_COUNT] && !exo_epoll_has_group(kr, i))
            exo_epoll_free_group(kr, i);
    }
}

void exo_host_collect_objects(struct exo_kr *kr)
{
    uint64_t *looks = calloc((size_t)3 * EXO_OBJECT_COUNT, sizeof *looks);
    bool *held = calloc((size_t)2 * EXO_OBJECT_COUNT, sizeof *held);
    struct counted *counted = malloc(sizeof *counted);
    if (looks != NULL && held != NULL && counted != NULL) {
        uint64_t *before = looks, *after = looks + EXO_OBJECT_COUNT,
                 *said = after + EXO_OBJECT_COUNT;
        bool *gone = held + EXO_OBJECT_COUNT;
        read_ends(kr, said);
        count_tables(kr, counted, before);
        mark_hands(kr, held);
        count_tables(kr, counted, after);
        settle_all(kr, before, after, said, held, gone);
        for (uint32_t i = 0; i < EXO_OBJECT_COUNT; i++)
            if (gone[i])
                drop(kr, i);
        settle_sets(kr, held);
    }
    free(looks);
    free(held);
    free(counted);
}
