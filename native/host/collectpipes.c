/* Finds the pipes of killed tasks that nobody has an end of, and makes them free again.
 *
 * Who has ends are entries of fd tables, in use or in a task's hand, and tasks that are at work on one
 * (held_pipe). An end goes from a table to a hand or the other way round at any moment, so tables are
 * looked at, then hands, then tables once more: one of the three sees it. task_lock and table_lock
 * are held by the caller, object_lock here; a guest may have written anything anywhere.
 */
#include <stdlib.h>

#include <exo/core.h>

#include "host.h"

struct ends {
    uint32_t readers, writers;
};

static void count_table(struct exo_kr *kr, uint64_t offset, struct ends *ends)
{
    if (offset == 0 || offset % 8 != 0 || offset > kr->size - sizeof(struct exo_fd_table))
        return;
    const struct exo_fd_table *table = exo_kr_at(kr, offset);
    uint64_t at = table->entries, used = table->used;
    if (at % 8 != 0 || at >= kr->size || used > (kr->size - at) / sizeof(struct exo_fd))
        return;
    const struct exo_fd *entries = exo_kr_at(kr, at);
    for (uint64_t i = 0; i < used; i++) {
        struct ends *of = &ends[entries[i].stamp % EXO_PIPE_COUNT];
        if (entries[i].host < 0 || !(entries[i].flags & EXO_FD_PIPE))
            continue;
        if (entries[i].flags & EXO_FD_PIPE_WRITES)
            of->writers++;
        else
            of->readers++;
    }
}

/* A table that several tasks share counts once, with the first of them. */
static void count_tables(struct exo_kr *kr, struct ends *ends)
{
    for (uint32_t i = 0; i < kr->task_high && i < EXO_TASK_COUNT; i++) {
        const struct exo_task *task = &kr->tasks[i];
        if (task->state == EXO_TASK_FREE)
            continue;
        bool first = true;
        for (uint32_t j = 0; j < i && first; j++)
            first = kr->tasks[j].state == EXO_TASK_FREE || kr->tasks[j].fd_table != task->fd_table;
        if (first)
            count_table(kr, task->fd_table, ends);
        count_table(kr, task->held_table, ends);
    }
}

static void mark_hands(const struct exo_kr *kr, bool *held)
{
    for (uint32_t i = 0; i < kr->task_high && i < EXO_TASK_COUNT; i++) {
        const struct exo_task *task = &kr->tasks[i];
        uint32_t pair = __atomic_load_n(&task->held_pipe, __ATOMIC_ACQUIRE);
        if (task->state == EXO_TASK_FREE || !exo_alive_test(task))
            continue;
        held[pair % EXO_PIPE_COUNT] = true;
        held[(pair >> 16) % EXO_PIPE_COUNT] = true;
    }
}

/* What both looks agree on, and what has not changed meanwhile, is so. */
static void settle(struct exo_kr *kr, uint32_t index, struct ends before, struct ends after,
                   struct ends said)
{
    struct exo_pipe *pipe = &kr->pipes[index];
    bool steady = before.readers == after.readers && before.writers == after.writers &&
                  said.readers == pipe->readers && said.writers == pipe->writers;
    if (pipe->mode == EXO_PIPE_FREE || !steady)
        return;
    pipe->readers = after.readers;
    pipe->writers = after.writers;
    if (after.readers != 0 || after.writers != 0)
        return;
    __atomic_store_n(&pipe->mode, (uint32_t)EXO_PIPE_FREE, __ATOMIC_RELEASE);
    pipe->next_free = kr->free_pipe;
    __atomic_store_n(&kr->free_pipe, index, __ATOMIC_RELEASE);
}

void exo_host_collect_pipes(struct exo_kr *kr)
{
    struct ends *looks = calloc((size_t)3 * EXO_PIPE_COUNT, sizeof *looks);
    bool *held = calloc(EXO_PIPE_COUNT, sizeof *held);
    if (looks != NULL && held != NULL) {
        struct ends *before = looks, *after = looks + EXO_PIPE_COUNT,
                    *said = after + EXO_PIPE_COUNT;
        for (uint32_t i = 0; i < EXO_PIPE_COUNT; i++)
            said[i] = (struct ends){kr->pipes[i].readers, kr->pipes[i].writers};
        count_tables(kr, before);
        mark_hands(kr, held);
        count_tables(kr, after);
        exo_lock_acquire(&kr->object_lock);
        for (uint32_t i = 1; i <= kr->pipe_high && i < EXO_PIPE_COUNT; i++)
            if (!held[i])
                settle(kr, i, before[i], after[i], said[i]);
        exo_lock_release(&kr->object_lock);
    }
    free(looks);
    free(held);
}
