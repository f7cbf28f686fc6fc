/* Robust locks in the kernel region.
 *
 * Rules: a thread holds at most one lock at a time. While it takes, holds or releases one, its host
 * robust list's op_pending names the lock, so the host marks the word FUTEX_OWNER_DIED should the
 * thread be killed, and the next taker goes on. What a lock protects is written in an order that
 * at worst leaks when cut short; the reaper sweeps leaks.
 */
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>

#include "atomic.h"

#define SPIN_COUNT 100

_Static_assert(offsetof(struct exo_lock, word) - offsetof(struct exo_lock, node) == 8,
               "exo_robust_head.futex_offset is 8 everywhere");

/* mine is the tid, marked or not. *seen is the word that was in the way: it has an owner. */
static bool lock_try(struct exo_lock *lock, uint32_t mine, uint32_t *seen)
{
    uint32_t word = load_relaxed(&lock->word);
    while ((word & FUTEX_TID_MASK) == 0) {
        /* Others may still sleep, or be on their way out of sleep when killed: keep their mark. */
        if (!compare_exchange(&lock->word, &word, mine | (word & FUTEX_WAITERS)))
            continue;
        if (word & FUTEX_OWNER_DIED)
            lock->generation++;
        return true;
    }
    *seen = word;
    return false;
}

static void lock_sleep(struct exo_lock *lock, uint32_t word)
{
    if (!(word & FUTEX_WAITERS)) {
        if (!compare_exchange(&lock->word, &word, word | FUTEX_WAITERS))
            return;
        word |= FUTEX_WAITERS;
    }
    exo_host_call(__NR_futex, (long)&lock->word, FUTEX_WAIT, (long)word, 0, 0, 0);
}

void exo_lock_acquire(struct exo_lock *lock)
{
    struct exo_self *self = exo_self();
    uint32_t seen;
    store_relaxed(&self->robust.op_pending, (uint64_t)(uintptr_t)&lock->node);
    for (int i = 0; i < SPIN_COUNT; i++) {
        if (lock_try(lock, self->host_tid, &seen))
            return;
        spin_pause();
    }
    /* A taker that has slept can't know whether others still do, so it takes the lock marked. */
    while (!lock_try(lock, self->host_tid | FUTEX_WAITERS, &seen))
        lock_sleep(lock, seen);
}

/* The mark stays while the lock is free, so that whoever takes it next wakes a sleeper even if we,
 * or the one we wake, are killed in between; it goes when there was nobody to wake. */
void exo_lock_release(struct exo_lock *lock)
{
    exo_lock_release_for(lock, exo_self());
}

void exo_lock_release_for(struct exo_lock *lock, struct exo_self *self)
{
    uint32_t word = fetch_and(&lock->word, FUTEX_WAITERS);
    if (word & FUTEX_WAITERS) {
        uint32_t marked = FUTEX_WAITERS;
        if (exo_host_call(__NR_futex, (long)&lock->word, FUTEX_WAKE, 1, 0, 0, 0) == 0)
            compare_exchange(&lock->word, &marked, 0);
    }
    store_relaxed(&self->robust.op_pending, 0);
}

void exo_alive_mark(struct exo_task *task, struct exo_self *self, struct exo_lock *with)
{
    uint64_t end = (uint64_t)(uintptr_t)&self->robust.list;
    uint64_t alive = (uint64_t)(uintptr_t)&task->alive.node;
    task->alive.node = end;
    self->robust.futex_offset = 8;
    self->robust.op_pending = 0;
    /* The slot may be another task's by the time the host walks the list: it comes last. */
    if (with != NULL)
        with->node = alive;
    self->robust.list = with != NULL ? (uint64_t)(uintptr_t)&with->node : alive;
    /* The host knows the list before a word says that we live: it is marked, or was never ours. */
    exo_host_call(__NR_set_robust_list, (long)&self->robust, sizeof(self->robust), 0, 0, 0, 0);
    if (with != NULL)
        store_release(&with->word, self->host_tid);
    store_release(&task->alive.word, self->host_tid);
}

bool exo_alive_test(const struct exo_task *task)
{
    uint32_t word = load_acquire(&task->alive.word);
    return word != 0 && !(word & FUTEX_OWNER_DIED);
}
