/* Fusion rings: waiting, as a policy says. ringbell.c has the other half.
 *
 * What is in the way may be the claim of an owner, and its death rings no bell: who sleeps then waits
 * for the owner's word, too (futex_waitv(2)), which the host marks.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>
#include <exo/ringset.h>

#include "ring.h"

#define CLOCK_MONOTONIC_ 1
#define NS_PER_S 1000000000UL
#define FOREVER UINT64_MAX

struct k_timespec {
    int64_t seconds, ns;
};

struct waiter {
    const struct exo_wait_policy *policy;
    uint64_t tries, deadline_ns; /* deadline: 0 until it is needed */
};

static uint64_t now_ns(void)
{
    struct k_timespec now = {0, 0};
    exo_host_call(__NR_clock_gettime, CLOCK_MONOTONIC_, (long)&now, 0, 0, 0, 0);
    return (uint64_t)now.seconds * NS_PER_S + (uint64_t)now.ns;
}

static bool is_over(struct waiter *self)
{
    uint64_t timeout = self->policy->timeout_ns;
    if (timeout == FOREVER)
        return false;
    uint64_t now = now_ns();
    if (self->deadline_ns == 0)
        self->deadline_ns = now > FOREVER - timeout ? FOREVER : now + timeout;
    return now >= self->deadline_ns;
}

static uint32_t *word_of(struct exo_ring *ring, uint32_t owner)
{
    char *first = (char *)&ring->owners + ring->owners.away;
    return owner == 0 || owner >= ring->owners.count
               ? NULL
               : (uint32_t *)(first + owner * ring->owners.stride);
}

/* Whose claim is at the position where this side goes on; 0 nobody's. */
static uint32_t claimer(struct exo_ring *ring, uint64_t position)
{
    uint64_t header = load_acquire(&ring_slot(ring, position)->header), state = ring_state(header);
    bool claimed = state == EXO_RING_CLAIMED || state == EXO_RING_TAKEN;
    return claimed ? (uint32_t)(header & OWNER_MASK) : 0;
}

/* The host tells of a death only where the word says that somebody waits. */
bool exo_word_watch(uint32_t *word, struct futex_waitv *wait)
{
    uint32_t seen = load_acquire(word);
    while (seen != 0 && !(seen & (FUTEX_OWNER_DIED | FUTEX_WAITERS)) &&
           !compare_exchange(word, &seen, seen | FUTEX_WAITERS))
        ;
    if (seen == 0 || (seen & FUTEX_OWNER_DIED))
        return false;
    *wait = (struct futex_waitv){
        .val = seen | FUTEX_WAITERS, .uaddr = (uint64_t)(uintptr_t)word, .flags = FUTEX_32};
    return true;
}

/* Whether a push, a pop is worth a try. They set head and tail right where those lag behind. */
static bool may_push(struct exo_ring *ring)
{
    uint64_t at = load_relaxed(&ring->head);
    uint64_t header = load_acquire(&ring_slot(ring, at)->header);
    return ring_ahead(header, at) >= 0 || load_relaxed(&ring->closed) ||
           exo_ring_repair_claim(ring, header);
}

static bool may_pop(struct exo_ring *ring)
{
    uint64_t at = load_relaxed(&ring->tail);
    uint64_t header = load_acquire(&ring_slot(ring, at)->header), state = ring_state(header);
    return ring_ahead(header, at) > 0 || state == EXO_RING_READY || state == EXO_RING_TAKEN ||
           (state == EXO_RING_FREE && load_relaxed(&ring->closed)) ||
           exo_ring_repair_claim(ring, header);
}

/* One side of rings that lie stride bytes apart. */
struct side {
    struct exo_ring *first;
    uint64_t count, stride;
    bool (*ready)(struct exo_ring *ring);
    struct exo_ring_bell *bell;
    size_t place; /* offset of head, of tail */
};

static struct exo_ring *ring_of(const struct side *side, uint64_t i)
{
    return (struct exo_ring *)(void *)((char *)side->first + i * side->stride);
}

static bool is_any_ready(const struct side *side)
{
    for (uint64_t i = 0; i < side->count; i++)
        if (side->ready(ring_of(side, i)))
            return true;
    return false;
}

/* What ends a sleep besides the bell: the death of the peer, and of owners whose claims are in the
 * way. How many words in all; 0 if one is dead already. */
static uint32_t watch_owners(const struct side *side, uint32_t peer, struct futex_waitv *waits)
{
    uint32_t count = 1;
    uint32_t *word = word_of(side->first, peer);
    if (word != NULL && !exo_word_watch(word, &waits[count++]))
        return 0;
    for (uint64_t i = 0; i < side->count; i++) {
        struct exo_ring *ring = ring_of(side, i);
        uint64_t place = load_relaxed((uint64_t *)(void *)((char *)ring + side->place));
        uint32_t owner = claimer(ring, place);
        uint32_t *of_claimer = word_of(ring, owner);
        if (of_claimer != NULL && !exo_word_watch(of_claimer, &waits[count++]))
            return 0;
    }
    return count;
}

/* 0: look again; -ETIMEDOUT, -EINTR. */
static int sleep_on(const struct side *side, uint32_t word, struct waiter *self)
{
    struct futex_waitv waits[EXO_RINGSET_MAX + 2];
    waits[0] = (struct futex_waitv){
        .val = word, .uaddr = (uint64_t)(uintptr_t)&side->bell->word, .flags = FUTEX_32};
    uint32_t count = watch_owners(side, self->policy->peer, waits);
    if (count == 0)
        return 0;
    if (is_over(self))
        return -ETIMEDOUT;
    struct k_timespec until = {(int64_t)(self->deadline_ns / NS_PER_S),
                               (int64_t)(self->deadline_ns % NS_PER_S)};
    long result =
        exo_host_call(__NR_futex_waitv, (long)waits, count, 0,
                      self->policy->timeout_ns == FOREVER ? 0 : (long)&until, CLOCK_MONOTONIC_, 0);
    /* Of those that wait for a dead owner's word the host wakes one, who may not be the last. */
    if (result > 0 && result < count)
        exo_word_wake((uint32_t *)(uintptr_t)waits[result].uaddr);
    return result == -ETIMEDOUT || result == -EINTR ? (int)result : 0;
}

/* Dead, or its number is another's by now. */
static bool is_peer_gone(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    uint32_t *word = word_of(ring, policy->peer);
    return word != NULL && (exo_owner_is_dead(&ring->owners, policy->peer) ||
                            (policy->generation != 0 &&
                             load_acquire(word + 1) != policy->generation)); /* struct exo_lock's */
}

static int sleep_once(const struct side *side, struct waiter *self)
{
    uint32_t word = exo_bell_want(side->bell);
    full_fence();
    return is_any_ready(side) ? 0 : sleep_on(side, word, self);
}

static int wait_for(const struct side *side, struct waiter *self)
{
    const struct exo_wait_policy *policy = self->policy;
    int error = 0;
    for (; !is_any_ready(side) && error == 0; self->tries++) {
        if (self->tries < policy->spins)
            spin_pause();
        else if (is_peer_gone(side->first, policy))
            error = -EPIPE;
        else if (self->tries - policy->spins >= policy->yields && policy->sleeps)
            error = sleep_once(side, self);
        else if (is_over(self))
            error = -ETIMEDOUT;
        else
            exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    return error;
}

static struct side producers_of(struct exo_ring *ring)
{
    return (struct side){ring, 1, 0, may_push, &ring->room, offsetof(struct exo_ring, head)};
}

static struct side consumers_of(struct exo_ring *ring)
{
    return (struct side){ring, 1, 0, may_pop, &ring->data, offsetof(struct exo_ring, tail)};
}

int exo_ring_wait_room(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    struct side side = producers_of(ring);
    struct waiter self = {.policy = policy};
    return wait_for(&side, &self);
}

int exo_ring_wait_data(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    struct side side = consumers_of(ring);
    struct waiter self = {.policy = policy};
    return wait_for(&side, &self);
}

int exo_ring_push_wait(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                       uint32_t size, const struct exo_wait_policy *policy)
{
    struct side side = producers_of(ring);
    struct waiter self = {.policy = policy};
    int error;
    while ((error = exo_ring_push(ring, owner, type, data, size)) == -EAGAIN)
        if ((error = wait_for(&side, &self)) != 0)
            break;
    return error;
}

int exo_ring_pop_wait(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                      const struct exo_wait_policy *policy)
{
    struct side side = consumers_of(ring);
    struct waiter self = {.policy = policy};
    int error;
    while ((error = exo_ring_pop(ring, owner, message)) == -EAGAIN)
        if ((error = wait_for(&side, &self)) != 0)
            break;
    return error;
}

int exo_ringset_pop_wait(struct exo_ringset *set, uint32_t owner, struct exo_message *message,
                         const struct exo_wait_policy *policy)
{
    struct side side = {
        exo_ringset_ring(set, 0),       set->count, set->stride, may_pop, &set->data,
        offsetof(struct exo_ring, tail)};
    struct waiter self = {.policy = policy};
    int error;
    while ((error = exo_ringset_pop(set, owner, message)) == -EAGAIN)
        if ((error = wait_for(&side, &self)) != 0)
            break;
    return error;
}
