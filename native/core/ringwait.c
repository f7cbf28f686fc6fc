/* Fusion rings: waiting. Who is going to sleep notes the bell's word, says that the bell is wanted,
 * and looks for the last time; who has published looks whether the bell is wanted. Each has a full
 * fence between its two steps, so one sees the other. A sleeper that is killed costs one bell for
 * nobody.
 *
 * What is in the way may be the claim of an owner, and its death rings no bell: who sleeps then waits
 * for the owner's word, too (futex_waitv(2)), which the host marks.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>

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

static void wake_all(uint32_t *word)
{
    exo_host_call(__NR_futex, (long)word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

static void ring_bell(struct exo_ring *ring, struct exo_ring_bell *bell)
{
    if (ring->flags & EXO_RING_NEVER_SLEEPS)
        return;
    full_fence();
    if (load_relaxed(&bell->wanted) == 0)
        return;
    exchange(&bell->wanted, 0);
    fetch_add(&bell->word, 1);
    wake_all(&bell->word);
}

void exo_ring_wake_data(struct exo_ring *ring)
{
    ring_bell(ring, &ring->data);
}

void exo_ring_wake_room(struct exo_ring *ring)
{
    ring_bell(ring, &ring->room);
}

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

/* The host tells of a death only where the word says that somebody waits. False if it is dead. */
static bool watch(struct exo_ring *ring, uint32_t owner, struct futex_waitv *wait)
{
    uint32_t *word = word_of(ring, owner), seen = load_acquire(word);
    while (seen != 0 && !(seen & (FUTEX_OWNER_DIED | FUTEX_WAITERS)) &&
           !compare_exchange(word, &seen, seen | FUTEX_WAITERS))
        ;
    if (seen == 0 || (seen & FUTEX_OWNER_DIED))
        return false;
    *wait = (struct futex_waitv){
        .val = seen | FUTEX_WAITERS, .uaddr = (uint64_t)(uintptr_t)word, .flags = FUTEX_32};
    return true;
}

/* 0: look again; -ETIMEDOUT, -EINTR. */
static int sleep_on(struct exo_ring *ring, struct exo_ring_bell *bell, uint32_t word,
                    uint64_t position, struct waiter *self)
{
    struct futex_waitv waits[3] = {
        {.val = word, .uaddr = (uint64_t)(uintptr_t)&bell->word, .flags = FUTEX_32}};
    uint32_t owners[2] = {claimer(ring, position), self->policy->peer}, count = 1;
    for (int i = 0; i < 2; i++)
        if (word_of(ring, owners[i]) != NULL && !watch(ring, owners[i], &waits[count++]))
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
        wake_all((uint32_t *)(uintptr_t)waits[result].uaddr);
    return result == -ETIMEDOUT || result == -EINTR ? (int)result : 0;
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

/* One side of a ring. */
struct side {
    bool (*ready)(struct exo_ring *ring);
    struct exo_ring_bell *bell;
    const uint64_t *place;
};

/* Dead, or its number is another's by now. */
static bool is_peer_gone(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    uint32_t *word = word_of(ring, policy->peer);
    return word != NULL && (exo_owner_is_dead(&ring->owners, policy->peer) ||
                            (policy->generation != 0 &&
                             load_acquire(word + 1) != policy->generation)); /* struct exo_lock's */
}

static int sleep_once(struct exo_ring *ring, const struct side *side, struct waiter *self)
{
    uint32_t word = load_acquire(&side->bell->word);
    store_relaxed(&side->bell->wanted, 1);
    full_fence();
    return side->ready(ring) ? 0
                             : sleep_on(ring, side->bell, word, load_relaxed(side->place), self);
}

static int wait_for(struct exo_ring *ring, const struct side *side, struct waiter *self)
{
    const struct exo_wait_policy *policy = self->policy;
    int error = 0;
    for (; !side->ready(ring) && error == 0; self->tries++) {
        if (self->tries < policy->spins)
            spin_pause();
        else if (is_peer_gone(ring, policy))
            error = -EPIPE;
        else if (self->tries - policy->spins >= policy->yields && policy->sleeps)
            error = sleep_once(ring, side, self);
        else if (is_over(self))
            error = -ETIMEDOUT;
        else
            exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    return error;
}

int exo_ring_wait_room(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    struct side side = {may_push, &ring->room, &ring->head};
    struct waiter self = {.policy = policy};
    return wait_for(ring, &side, &self);
}

int exo_ring_wait_data(struct exo_ring *ring, const struct exo_wait_policy *policy)
{
    struct side side = {may_pop, &ring->data, &ring->tail};
    struct waiter self = {.policy = policy};
    return wait_for(ring, &side, &self);
}

int exo_ring_push_wait(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                       uint32_t size, const struct exo_wait_policy *policy)
{
    struct side side = {may_push, &ring->room, &ring->head};
    struct waiter self = {.policy = policy};
    int error;
    while ((error = exo_ring_push(ring, owner, type, data, size)) == -EAGAIN)
        if ((error = wait_for(ring, &side, &self)) != 0)
            break;
    return error;
}

int exo_ring_pop_wait(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                      const struct exo_wait_policy *policy)
{
    struct side side = {may_pop, &ring->data, &ring->tail};
    struct waiter self = {.policy = policy};
    int error;
    while ((error = exo_ring_pop(ring, owner, message)) == -EAGAIN)
        if ((error = wait_for(ring, &side, &self)) != 0)
            break;
    return error;
}
