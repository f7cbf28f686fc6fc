/* futex(2): the priority-inheritance operations; the others are in futexwait.c.
 *
 * For PI operations the host wants its own tids in the words; guests' words hold exo's. So a waiter marks
 * the word FUTEX_WAITERS and sleeps on it and at the same time on its owner's `alive` word in the
 * kernel region, which the host marks at the owner's death, however it dies. Who unlocks wakes all
 * of them: each then watches the new owner. A waiter takes over from a dead owner, with
 * FUTEX_OWNER_DIED.
 *
 * DIFFERS: priority is not inherited, and a futex is not handed to the waiter of highest priority:
 * whoever is first has it. FUTEX_WAKE wakes those in FUTEX_WAIT_REQUEUE_PI instead of failing.
 */
#include <linux/futex.h>
#include <linux/time.h>

#include "futex.h"

#define FUTEX_32_ 2
#define FUTEX_LOCK_PI2_ 13
#define NR_futex_waitv 449
#define ALL 0x7fffffff
#define AGAIN 1 /* of sleep_on(): look at the word once more */

struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

/* What a call says. */
struct wish {
    uint64_t address;
    uint32_t is_private; /* FUTEX_PRIVATE_FLAG or 0 */
    int clock;
    bool tries, has_end;
    int64_t end[2]; /* struct timespec, absolute */
};

static long check_address(uint64_t address)
{
    if (address & 3)
        return -EINVAL;
    return in_window(address, 4) ? -EFAULT : 0;
}

/* The word there; what cannot be written is no futex. */
static long look(uint64_t address, uint32_t *word)
{
    *word = 0;
    return guest_exchange(address, word, 0) < 0 ? -EFAULT : 0;
}

static void wake(const void *address, uint32_t is_private, uint32_t count)
{
    HOST_3(__NR_futex, address, FUTEX_WAKE | is_private, count);
}

static void wake_all_watchers(struct exo_task *owner)
{
    wake(&owner->alive.word, 0, ALL);
}

/* Marks an owner's alive word, so that its death wakes us. False if it is dead, or not this tid's. */
static bool watch(struct exo_task *owner, uint32_t tid, uint32_t *alive)
{
    *alive = load_acquire(&owner->alive.word);
    do {
        if ((*alive & FUTEX_TID_MASK) == 0 || (*alive & FUTEX_OWNER_DIED))
            return false;
    } while (!(*alive & FUTEX_WAITERS) &&
             !compare_exchange(&owner->alive.word, alive, *alive | FUTEX_WAITERS));
    *alive |= FUTEX_WAITERS;
    return load_acquire(&owner->tid) == tid;
}

/* Sleeps until the futex is unlocked or its owner dies. AGAIN or -errno. */
static long sleep_on(const struct wish *wish, uint32_t word, struct exo_task *owner, uint32_t alive)
{
    struct waitv words[2] = {
        {.value = word, .address = wish->address, .flags = FUTEX_32_ | wish->is_private},
        {.value = alive, .address = (uint64_t)&owner->alive.word, .flags = FUTEX_32_}};
    long result = host_wait(NR_futex_waitv, (long)words, 2, 0, wish->has_end ? (long)wish->end : 0,
                            wish->clock, 0);
    if (result == 1) /* the host wakes one of the watchers only */
        wake_all_watchers(owner);
    if (result == -EINTR)
        result = load_relaxed(&area()->stashed) ? -EXO_ERESTART : AGAIN;
    return result >= 0 || result == -EAGAIN ? AGAIN : result;
}

/* The word names nobody who lives. */
static long take_over(const struct wish *wish, uint32_t word)
{
    uint32_t left = FUTEX_WAITERS | FUTEX_OWNER_DIED | area()->tid;
    if (!(word & FUTEX_WAITERS)) /* nobody has waited: it may be any number */
        return guest_exchange(wish->address, &word, word) == 1 ? AGAIN : -ESRCH;
    return guest_exchange(wish->address, &word, left);
}

/* One look at the word, and what follows. 0 when it is ours, AGAIN, or -errno. */
static long try_lock(const struct wish *wish)
{
    uint32_t word, alive, mine = area()->tid;
    if (look(wish->address, &word) != 0)
        return -EFAULT;
    uint32_t tid = word & FUTEX_TID_MASK;
    if (tid == mine)
        return -EDEADLK;
    if (tid == 0)
        return guest_exchange(wish->address, &word, word | mine);
    uint32_t slot = exo_task_find(KR, tid);
    struct exo_task *owner = &KR->tasks[slot];
    if (slot == 0 || !watch(owner, tid, &alive))
        return take_over(wish, word);
    if (!(word & FUTEX_WAITERS)) {
        long error = guest_exchange(wish->address, &word, word | FUTEX_WAITERS);
        if (error != 0)
            return error;
    }
    if (wish->tries)
        return -EAGAIN;
    return sleep_on(wish, word | FUTEX_WAITERS, owner, alive);
}

static long lock(const struct wish *wish)
{
    long result = check_address(wish->address);
    if (result != 0)
        return result;
    do
        result = try_lock(wish);
    while (result == AGAIN);
    return result;
}

static long unlock(const struct wish *wish)
{
    uint32_t word;
    if (guest_get(&word, wish->address) != 0)
        return -EFAULT;
    if ((word & FUTEX_TID_MASK) != area()->tid)
        return -EPERM;
    long result = check_address(wish->address);
    if (result != 0)
        return result;
    while ((result = guest_exchange(wish->address, &word, 0)) == 1)
        if ((word & FUTEX_TID_MASK) != area()->tid)
            return -EPERM;
    if (result == 0 && (word & FUTEX_WAITERS))
        wake((void *)wish->address, wish->is_private, ALL);
    return result;
}

void exo_pi_leave(void)
{
    struct exo_task *mine = area()->task;
    if (exchange(&mine->alive.word, FUTEX_OWNER_DIED) & FUTEX_WAITERS)
        wake_all_watchers(mine);
}

/* Waits on the first futex to be woken by requeue(), then takes the second. */
static long wait_requeue(const struct wish *second, long a, int operation, long value)
{
    uint32_t word;
    int plain = FUTEX_WAIT_BITSET | (operation & ~FUTEX_CMD_MASK);
    if ((uint64_t)a == second->address)
        return -EINVAL;
    long error = check_address(second->address);
    if (error == 0)
        error = look(second->address, &word);
    if (error != 0)
        return error;
    long result = host_wait(__NR_futex, a, plain, value, second->has_end ? (long)second->end : 0, 0,
                            FUTEX_BITSET_MATCH_ANY);
    if (result == -EINTR)
        return load_relaxed(&area()->stashed) ? -EXO_ERESTART : -EAGAIN;
    if (result != 0)
        return result;
    result = lock(second);
    return result == -EXO_ERESTART ? -EAGAIN : result; /* the first one's value has changed */
}

static long requeue(const struct wish *second, long a, long to_wake, long to_move, uint32_t value)
{
    uint32_t word;
    if ((int)to_wake != 1 || (int)to_move < 0 || (uint64_t)a == second->address)
        return -EINVAL;
    long error = check_address((uint64_t)a);
    if (error == 0)
        error = check_address(second->address);
    if (error == 0)
        error = guest_get(&word, a);
    if (error != 0)
        return error;
    if (word != value)
        return -EAGAIN;
    uint32_t count = (int)to_move == ALL ? ALL : (uint32_t)to_move + 1;
    return HOST_3(__NR_futex, a, FUTEX_WAKE | second->is_private, count);
}

static long read_end(struct wish *wish, long from)
{
    if (from == 0)
        return 0;
    if (guest_get(&wish->end, from) != 0)
        return -EFAULT;
    wish->has_end = true;
    return wish->end[0] < 0 || (uint64_t)wish->end[1] >= 1000000000 ? -EINVAL : 0;
}

SYSCALL(futex)
{
    int operation = (int)b, command = operation & FUTEX_CMD_MASK;
    bool realtime = operation & FUTEX_CLOCK_REALTIME;
    bool takes_end =
        command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2_ || command == FUTEX_WAIT_REQUEUE_PI;
    if (!takes_end && command != FUTEX_UNLOCK_PI && command != FUTEX_TRYLOCK_PI &&
        command != FUTEX_CMP_REQUEUE_PI)
        return exo_futex_plain(a, b, c, d, e, f);
    struct wish wish = {.address = (uint64_t)a,
                        .is_private = (uint32_t)operation & FUTEX_PRIVATE_FLAG,
                        .clock = realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC,
                        .tries = command == FUTEX_TRYLOCK_PI};
    long error = takes_end ? read_end(&wish, d) : 0;
    if (error != 0)
        return error;
    if (realtime && command != FUTEX_WAIT_REQUEUE_PI && command != FUTEX_LOCK_PI2_)
        return -ENOSYS;
    switch (command) {
    case FUTEX_UNLOCK_PI:
        return unlock(&wish);
    case FUTEX_WAIT_REQUEUE_PI:
        wish.address = (uint64_t)e;
        return wait_requeue(&wish, a, operation, c);
    case FUTEX_CMP_REQUEUE_PI:
        wish.address = (uint64_t)e;
        return requeue(&wish, a, c, d, (uint32_t)f);
    case FUTEX_LOCK_PI:
        wish.clock = CLOCK_REALTIME;
        return lock(&wish);
    default:
        return lock(&wish);
    }
}
