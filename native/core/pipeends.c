/* Making pipes, and who has their ends: entries of fd tables, and nothing else.
 *
 * Rules: an entry is counted before it stands in a table, and no longer counted when it is gone, so a
 * count is never too small, whoever is killed; a pipe of which nobody has an end is free. Its host fd
 * is closed after that: who learns from the host that nobody is left finds the counts so.
 * What was killed in between is found by the kernel process (host/collectpipes.c).
 */
#include "atomic.h"
#include "mem.h"
#include "pipe.h"

static uint32_t *count_of(struct exo_kr *kr, struct exo_fd entry)
{
    struct exo_pipe *pipe = exo_pipe_at(kr, entry.stamp);
    return entry.flags & EXO_FD_PIPE_WRITES ? &pipe->writers : &pipe->readers;
}

void exo_pipe_hold(struct exo_kr *kr, uint32_t index)
{
    store_release(&kr->tasks[exo_self()->slot].held_pipe, index);
}

uint32_t exo_pipe_create(struct exo_kr *kr)
{
    exo_lock_acquire(&kr->object_lock);
    uint32_t index = kr->free_pipe % EXO_PIPE_COUNT;
    exo_pipe_hold(kr, index != 0 ? index : kr->pipe_high + 1);
    if (index != 0)
        kr->free_pipe = exo_pipe_at(kr, index)->next_free;
    else if (kr->pipe_high + 1 < EXO_PIPE_COUNT)
        index = ++kr->pipe_high;
    if (index != 0) {
        struct exo_pipe *pipe = exo_pipe_at(kr, index);
        /* An old reading of an entry may lead here: what counts is never touched but by a count. */
        memset(&pipe->mode, 0, sizeof(*pipe) - offsetof(struct exo_pipe, mode));
        store_release(&pipe->readers, 1);
        store_release(&pipe->writers, 1);
        store_release(&pipe->mode, (uint32_t)EXO_PIPE_OWN);
    } else {
        exo_pipe_hold(kr, 0);
        store_release(&kr->left_behind, 1); /* or so many pipes are in use, indeed */
    }
    exo_lock_release(&kr->object_lock);
    return index;
}

bool exo_pipe_ref(struct exo_kr *kr, const struct exo_fd *entry, struct exo_fd as)
{
    uint32_t *count = count_of(kr, as), users = load_relaxed(count);
    do {
        if (users == 0)
            return false;
    } while (!compare_exchange(count, &users, users + 1));
    /* The pipe may have gone, and be another one by now, only if the entry has gone before. */
    uint64_t whole = load_acquire((const uint64_t *)entry);
    struct exo_fd now;
    memcpy(&now, &whole, sizeof(now));
    if (exo_pipe_same(now, as))
        return true;
    exo_pipe_uncount(kr, as);
    return false;
}

void exo_pipe_uncount(struct exo_kr *kr, struct exo_fd gone)
{
    if (fetch_add(count_of(kr, gone), (uint32_t)-1) == 1)
        store_release(&kr->left_behind, 1);
}

void exo_pipe_unref(struct exo_kr *kr, struct exo_fd gone)
{
    struct exo_pipe *pipe = exo_pipe_at(kr, gone.stamp);
    if (fetch_add(count_of(kr, gone), (uint32_t)-1) != 1)
        return;
    exo_lock_acquire(&kr->object_lock);
    if (load_relaxed(&pipe->readers) == 0 && load_relaxed(&pipe->writers) == 0 &&
        pipe->mode != EXO_PIPE_FREE) {
        store_release(&pipe->mode, (uint32_t)EXO_PIPE_FREE);
        pipe->next_free = kr->free_pipe;
        store_release(&kr->free_pipe, (uint32_t)gone.stamp % EXO_PIPE_COUNT);
    }
    exo_lock_release(&kr->object_lock);
}
