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

/* What an entry counts for; with every change the whole word is another one, for who compares. */
static uint64_t share_of(struct exo_fd entry)
{
    return entry.flags & EXO_FD_PIPE_WRITES ? 1ULL << EXO_PIPE_ENDS_BITS : 1;
}

/* The ends that are left. */
static uint64_t take_away(struct exo_kr *kr, struct exo_fd entry)
{
    uint64_t change = EXO_PIPE_ENDS_CHANGE - share_of(entry);
    return fetch_add(&exo_pipe_at(kr, entry.stamp)->ends, change) + change;
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
        fetch_add(&pipe->ends, EXO_PIPE_ENDS_CHANGE + (1ULL << EXO_PIPE_ENDS_BITS) + 1);
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
    int side = as.flags & EXO_FD_PIPE_WRITES ? EXO_PIPE_WRITES : EXO_PIPE_READS;
    uint64_t *ends = &exo_pipe_at(kr, as.stamp)->ends, was = load_relaxed(ends);
    uint32_t users;
    do {
        users = (uint32_t)(was >> side * EXO_PIPE_ENDS_BITS) & EXO_PIPE_ENDS_MASK;
        if (users == 0 || users == EXO_PIPE_ENDS_MASK)
            return false;
    } while (!compare_exchange(ends, &was, was + EXO_PIPE_ENDS_CHANGE + share_of(as)));
    /* The pipe may have gone, and be another one by now, only if the entry has gone before. */
    uint64_t whole = load_acquire((const uint64_t *)entry);
    struct exo_fd now;
    memcpy(&now, &whole, sizeof(now));
    if (exo_pipe_same(now, as))
        return true;
    exo_pipe_uncount(kr, as);
    return false;
}

static bool is_last(uint64_t ends, struct exo_fd gone)
{
    return (ends & share_of(gone) * EXO_PIPE_ENDS_MASK) == 0;
}

void exo_pipe_uncount(struct exo_kr *kr, struct exo_fd gone)
{
    if (is_last(take_away(kr, gone), gone))
        store_release(&kr->left_behind, 1);
}

void exo_pipe_unref(struct exo_kr *kr, struct exo_fd gone)
{
    struct exo_pipe *pipe = exo_pipe_at(kr, gone.stamp);
    if (!is_last(take_away(kr, gone), gone))
        return;
    exo_lock_acquire(&kr->object_lock);
    if (load_relaxed(&pipe->ends) % EXO_PIPE_ENDS_CHANGE == 0 && pipe->mode != EXO_PIPE_FREE) {
        store_release(&pipe->mode, (uint32_t)EXO_PIPE_FREE);
        pipe->next_free = kr->free_pipe;
        store_release(&kr->free_pipe, (uint32_t)gone.stamp % EXO_PIPE_COUNT);
    }
    exo_lock_release(&kr->object_lock);
}
