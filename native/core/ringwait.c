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

static void ring_bell(struct exo_ring *ring, struct exo_ring_bell *bell)
{
    if (ring->flags & EXO_RING_NEVER_SLEEPS)
        return;
    full_fence();
    if (load_relaxed(&bell->wanted) == 0)
        return;
    exchange(&bell->wanted, 0);
    fetch_add(&bell->word, 1);
    exo_host_call(__NR_futex, (long)&bell->word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
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
    return result == -ETIMEDOUT || result == -EINTR ? (int)result : 0;
}

/* After a try that found nothing. 0: try again. */
static int pass_time(struct exo_ring *ring, struct exo_ring_bell *bell, const uint64_t *place,
                     struct waiter *self, uint32_t word)
{
    const struct exo_wait_policy *policy = self->policy;
    uint64_t tries = self->tries++;
    if (tries < policy->spins) {
        spin_pause();
        return 0;
    }
    if (policy->peer != 0 && exo_owner_is_dead(&ring->owners, policy->peer)) {
        uint32_t *dead = word_of(ring, policy->peer); /* the host has woken one of us */
        exo_host_call(__NR_futex, (long)dead, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
        return -EPIPE;
    }
    if (tries - policy->spins < policy->yields || !policy->sleeps) {
        exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
        return is_over(self) ? -ETIMEDOUT : 0;
    }
    if (tries - policy->spins == policy->yields)
        return 0; /* the bell was not wanted before this try */
    return sleep_on(ring, bell, word, load_relaxed(place), self);
}

/* To be called before each try: from some point on the bell is wanted. */
static uint32_t prepare(struct exo_ring_bell *bell, const struct waiter *self)
{
    const struct exo_wait_policy *policy = self->policy;
    if (!policy->sleeps || self->tries <= (uint64_t)policy->spins + policy->yields)
        return 0;
    uint32_t word = load_acquire(&bell->word);
    store_relaxed(&bell->wanted, 1);
    full_fence();
    return word;
}

int exo_ring_push_wait(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                       uint32_t size, const struct exo_wait_policy *policy)
{
    struct waiter self = {.policy = policy};
    for (;;) {
        uint32_t word = prepare(&ring->room, &self);
        int error = exo_ring_push(ring, owner, type, data, size);
        if (error == -EAGAIN)
            error = pass_time(ring, &ring->room, &ring->head, &self, word);
        else
            return error;
        if (error != 0)
            return error;
    }
}

int exo_ring_pop_wait(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                      const struct exo_wait_policy *policy)
{
    struct waiter self = {.policy = policy};
    for (;;) {
        uint32_t word = prepare(&ring->data, &self);
        int error = exo_ring_pop(ring, owner, message);
        if (error == -EAGAIN)
            error = pass_time(ring, &ring->data, &ring->tail, &self, word);
        else
            return error;
        if (error != 0)
            return error;
    }
}
