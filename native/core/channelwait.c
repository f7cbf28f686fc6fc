/* Channels: waiting, and seeing the other processes come and go.
 *
 * Who sleeps waits for a bell (core/ringwait.c has the protocol), for the words of all other
 * processes, which the host marks when they die, and for a control word of its own process.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>

#include "channel.h"

#define CLOCK_MONOTONIC_ 1
#define NS_PER_S 1000000000UL
#define FOREVER UINT64_MAX
#define SPIN_MIN 1000 /* TSC cycles */
#define SPIN_MAX 256000
#define SHORT 512000 /* a sleep, with being woken, that is no better than spinning for so long */
#define FLAGS_MASK 7U

struct k_timespec {
    int64_t seconds, ns;
};

void exo_port_ring_bell(struct exo_ring_bell *bell)
{
    full_fence();
    if (load_relaxed(&bell->wanted) != 0)
        exo_bell_ring(bell);
}

void exo_port_stir(struct exo_port *port)
{
    exo_ring_wake_data(port->ring);
    exo_ring_wake_room(port->ring);
    exo_port_ring_bell(&port->channel->freed);
}

/* Notes that an end is gone; whoever takes its line counts it. */
static void count_gone(uint32_t *counts, uint64_t end)
{
    uint32_t flags = (uint32_t)end & FLAGS_MASK;
    bool anything = !(flags & (EXO_CHANNEL_SENDS | EXO_CHANNEL_RECEIVES));
    if (anything || (flags & EXO_CHANNEL_SENDS))
        fetch_add(&counts[0], 1);
    if (anything || (flags & EXO_CHANNEL_RECEIVES))
        fetch_add(&counts[1], 1);
}

void exo_port_join(struct exo_port *port, uint32_t owner)
{
    uint64_t *end = &port->channel->ends[owner];
    uint64_t generation = exo_roster_generation(port->roster, owner);
    uint64_t before = exchange(end, generation << 32 | EXO_CHANNEL_PRESENT);
    if (before != 0) /* died, and nobody has noticed */
        count_gone(port->channel->died, before);
    port->owner = owner;
    port->roles = 0;
    port->spin_cycles = SPIN_MAX;
    exo_port_stir(port);
}

void exo_port_leave(struct exo_port *port)
{
    uint64_t before = exchange(&port->channel->ends[port->owner], 0);
    store_relaxed(&port->channel->cpus[port->owner], 0);
    if (before != 0)
        count_gone(port->channel->left, before);
    exo_port_stir(port);
}

void exo_port_role(struct exo_port *port, uint32_t role)
{
    if (port->roles & role)
        return;
    port->roles |= role;
    fetch_or(&port->channel->ends[port->owner], role);
}

uint32_t exo_port_bury(struct exo_port *port)
{
    struct exo_mapped mapped = {port->channel, port->size};
    uint32_t count = 0;
    for (uint32_t i = 1; i < EXO_CHANNEL_ENDS; i++) {
        uint64_t end = load_acquire(&port->channel->ends[i]);
        if (end == 0 || exo_roster_is_alive(port->roster, i))
            continue;
        if (count++ == 0)
            exo_roster_repair(port->roster, &mapped);
        store_relaxed(&port->channel->cpus[i], 0); /* a hint: whoever has the number next says it */
        if (compare_exchange(&port->channel->ends[i], &end, 0))
            count_gone(port->channel->died, end);
    }
    if (count > 0)
        exo_port_stir(port);
    return count;
}

static bool may_do(uint64_t end, uint32_t role)
{
    return (end & role) || !(end & (EXO_CHANNEL_SENDS | EXO_CHANNEL_RECEIVES));
}

uint32_t exo_port_others(const struct exo_port *port, uint32_t role)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < EXO_CHANNEL_ENDS; i++) {
        uint64_t end = load_acquire(&port->channel->ends[i]);
        count += end != 0 && i != port->owner && may_do(end, role) &&
                 exo_roster_is_alive(port->roster, i);
    }
    return count;
}

uint64_t exo_port_ticket(struct exo_port *port)
{
    struct exo_channel *channel = port->channel;
    uint32_t count = fetch_add(&channel->ticket_count, 1) + 1;
    uint64_t ticket = (uint64_t)port->owner << 32 | count;
    for (int i = 0; i < EXO_CHANNEL_TICKETS; i++) {
        uint64_t seen = load_acquire(&channel->tickets[i]);
        bool alive = exo_roster_is_alive(port->roster, (uint32_t)(seen >> 32));
        if (!alive && compare_exchange(&channel->tickets[i], &seen, ticket))
            return ticket;
    }
    return 0;
}

void exo_port_ticket_end(struct exo_port *port, uint64_t ticket)
{
    for (int i = 0; i < EXO_CHANNEL_TICKETS && ticket != 0; i++) {
        uint64_t seen = ticket;
        if (compare_exchange(&port->channel->tickets[i], &seen, 0))
            exo_port_stir(port);
    }
}

static bool is_somebody_coming(const struct exo_port *port)
{
    for (int i = 0; i < EXO_CHANNEL_TICKETS; i++) {
        uint32_t giver = (uint32_t)(load_acquire(&port->channel->tickets[i]) >> 32);
        if (exo_roster_is_alive(port->roster, giver))
            return true;
    }
    return false;
}

/* What the wait for `what` comes to, if nobody is left who could end it: 0, somebody may. */
static int is_left_alone(struct exo_port *port, uint32_t what)
{
    uint32_t role = what == EXO_CHANNEL_DATA ? EXO_CHANNEL_SENDS : EXO_CHANNEL_RECEIVES;
    int side = what == EXO_CHANNEL_DATA ? 0 : 1;
    if ((port->roles & role) || is_somebody_coming(port) || exo_port_others(port, role) > 0)
        return 0;
    if (load_acquire(&port->channel->died[side]) != 0)
        return -EOWNERDEAD;
    return load_acquire(&port->channel->left[side]) != 0 ? -EPIPE : 0;
}

static bool may_receive(struct exo_ring *ring)
{
    uint64_t at = load_relaxed(&ring->tail);
    uint64_t header = load_acquire(&ring_slot(ring, at)->header), state = ring_state(header);
    return ring_ahead(header, at) > 0 || state == EXO_RING_READY || state == EXO_RING_TAKEN ||
           (state == EXO_RING_FREE && load_relaxed(&ring->closed));
}

static bool may_send(struct exo_ring *ring)
{
    uint64_t at = load_relaxed(&ring->head);
    return ring_ahead(load_acquire(&ring_slot(ring, at)->header), at) >= 0 ||
           load_relaxed(&ring->closed);
}

static bool may_create(const struct exo_port *port, uint64_t size)
{
    for (uint32_t i = 0; i < port->pool_count; i++) {
        const struct exo_port_pool *its = &port->pools[i];
        for (uint64_t k = 0; its->size >= size && k < its->count; k++)
            if (block_state(load_relaxed(&pool_block(its->pool, k)->word)) == EXO_BLOCK_FREE)
                return true;
    }
    return load_relaxed(&port->ring->closed);
}

static bool is_ready(const struct exo_port *port, uint32_t what, const struct exo_port_wait *wait)
{
    return what == EXO_CHANNEL_DATA   ? may_receive(port->ring)
           : what == EXO_CHANNEL_ROOM ? may_send(port->ring)
                                      : may_create(port, wait->size);
}

static struct exo_ring_bell *bell_of(const struct exo_port *port, uint32_t what)
{
    return what == EXO_CHANNEL_DATA   ? &port->ring->data
           : what == EXO_CHANNEL_ROOM ? &port->ring->room
                                      : &port->channel->freed;
}

/* Everybody else's words; false if one is dead. */
static bool watch_others(struct exo_port *port, struct futex_waitv *waits, uint32_t *count)
{
    for (uint32_t i = 1; i < EXO_CHANNEL_ENDS; i++) {
        if (i == port->owner || load_acquire(&port->channel->ends[i]) == 0)
            continue;
        if (!exo_word_watch(&exo_roster_member(port->roster, i)->word, &waits[(*count)++]))
            return false;
    }
    return true;
}

static int sleep_on(struct exo_port *port, const struct exo_ring_bell *bell, uint32_t word,
                    const struct exo_port_wait *wait)
{
    struct futex_waitv waits[EXO_CHANNEL_ENDS + 2] = {
        {.val = word, .uaddr = (uint64_t)(uintptr_t)&bell->word, .flags = FUTEX_32}};
    uint32_t count = 1, others;
    if (wait->control != NULL)
        waits[count++] = (struct futex_waitv){.val = wait->seen,
                                              .uaddr = (uint64_t)(uintptr_t)wait->control,
                                              .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
    others = count;
    if (!watch_others(port, waits, &count))
        return 0;
    struct k_timespec until = {(int64_t)(wait->deadline_ns / NS_PER_S),
                               (int64_t)(wait->deadline_ns % NS_PER_S)};
    long result =
        exo_host_call(__NR_futex_waitv, (long)waits, count, 0,
                      wait->deadline_ns == FOREVER ? 0 : (long)&until, CLOCK_MONOTONIC_, 0);
    if (result >= (long)others && result < (long)count) /* the host wakes one of those that wait */
        exo_word_wake((uint32_t *)(uintptr_t)waits[result].uaddr);
    return result == -ETIMEDOUT || result == -EINTR ? (int)result : 0;
}

static int sleep_once(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait)
{
    struct exo_ring_bell *bell = bell_of(port, what);
    uint32_t word = exo_bell_want(bell);
    full_fence();
    exo_port_bury(port);
    int alone = is_left_alone(port, what); /* before the look: who leaves has sent before */
    if (is_ready(port, what, wait))
        return 0;
    if (alone != 0)
        return alone;
    if (wait->control != NULL && load_acquire(wait->control) != wait->seen)
        return -ECANCELED;
    return sleep_on(port, bell, word, wait);
}

/* Linux keeps the CPU's number where rdtscp reads it. */
static uint16_t cpu_hint(void)
{
    uint32_t where;
    __builtin_ia32_rdtscp(&where);
    return (uint16_t)((where & 0xfff) + 1);
}

/* Notes where we wait. Whether somebody may be at work on another CPU meanwhile. */
static bool is_worth_spinning(struct exo_port *port)
{
    uint16_t *cpus = port->channel->cpus, here = cpu_hint();
    bool others = false;
    if (load_relaxed(&cpus[port->owner]) != here)
        store_relaxed(&cpus[port->owner], here);
    for (uint32_t i = 1; i < EXO_CHANNEL_ENDS; i++) {
        uint16_t there = load_relaxed(&cpus[i]);
        if (there != 0 && there != here)
            return true;
        others |= there != 0 && i != port->owner;
    }
    return !others; /* other threads of this process, or nobody yet */
}

static bool spin(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait)
{
    uint32_t limit = load_relaxed(&port->spin_cycles);
    uint64_t began = __builtin_ia32_rdtsc();
    do {
        if (is_ready(port, what, wait)) {
            if (limit < SPIN_MAX)
                store_relaxed(&port->spin_cycles, limit * 2);
            return true;
        }
        spin_pause();
    } while (__builtin_ia32_rdtsc() - began < limit);
    if (limit > SPIN_MIN)
        store_relaxed(&port->spin_cycles, limit / 2);
    return false;
}

bool exo_port_spin(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait)
{
    if (is_worth_spinning(port) && spin(port, what, wait))
        return true;
    for (uint32_t i = 0; i < wait->yields; i++) {
        exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
        if (is_ready(port, what, wait))
            return true;
    }
    return false;
}

int exo_port_wait(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait)
{
    uint64_t began = __builtin_ia32_rdtsc();
    int error = 0;
    while (error == 0 && !is_ready(port, what, wait))
        error = sleep_once(port, what, wait);
    if (error == 0 && __builtin_ia32_rdtsc() - began < SHORT)
        store_relaxed(&port->spin_cycles, SPIN_MAX);
    return error;
}
