/* What the files of the rings share: a slot's header taken apart. */
#ifndef EXO_CORE_RING_H
#define EXO_CORE_RING_H

#include <exo/ring.h>

#include "atomic.h"
#include "mem.h"

#define STATE_MASK 3UL
#define OWNER_MASK 0xffffUL

static inline uint64_t ring_capacity(const struct exo_ring *ring)
{
    return 1UL << ring->order;
}

static inline struct exo_ring_slot *ring_slot(struct exo_ring *ring, uint64_t position)
{
    return (struct exo_ring_slot *)(ring + 1) + (position & (ring_capacity(ring) - 1));
}

static inline uint64_t ring_header(uint64_t position, uint64_t state, uint64_t rest)
{
    return position << EXO_RING_POSITION_SHIFT | state << EXO_RING_STATE_SHIFT | rest;
}

static inline uint64_t ring_state(uint64_t header)
{
    return header >> EXO_RING_STATE_SHIFT & STATE_MASK;
}

/* How far the slot's position is ahead of `position`: the low 32 bits of both are compared. */
static inline int32_t ring_ahead(uint64_t header, uint64_t position)
{
    return (int32_t)((uint32_t)(header >> EXO_RING_POSITION_SHIFT) - (uint32_t)position);
}

static inline uint32_t ring_flags(uint64_t header)
{
    return (uint32_t)(header >> EXO_RING_FLAGS_SHIFT & 0x3f);
}

static inline uint32_t ring_type(uint64_t header)
{
    return (uint32_t)(header >> EXO_RING_TYPE_SHIFT & 0xff);
}

static inline uint32_t ring_size_of(uint64_t header)
{
    return (uint32_t)(header & 0xffff);
}

static inline uint64_t ring_message(uint32_t type, uint32_t flags, uint32_t size)
{
    return (uint64_t)flags << EXO_RING_FLAGS_SHIFT | (uint64_t)type << EXO_RING_TYPE_SHIFT | size;
}

/* A claim of count slots from position on. flags: of the first message where it is being taken, as
 * whoever repairs it must know of a block. */
static inline uint64_t ring_claim(uint64_t position, uint64_t state, uint32_t flags, uint32_t owner,
                                  uint32_t count)
{
    return ring_header(position, state, ring_message(count - 1, flags, owner & OWNER_MASK));
}

static inline bool ring_is_claim(uint64_t header)
{
    return ring_state(header) == EXO_RING_CLAIMED || ring_state(header) == EXO_RING_TAKEN;
}

/* How many slots a header speaks for. */
static inline uint32_t ring_span(uint64_t header)
{
    return ring_is_claim(header) ? ring_type(header) + 1 : 1;
}

/* All of a full payload at once: its size is known to the compiler. */
static inline void ring_fill(struct exo_ring_slot *slot, const void *data, uint32_t size)
{
    if (__builtin_expect(size == EXO_RING_PAYLOAD, 1))
        memcpy(slot->payload, data, EXO_RING_PAYLOAD);
    else
        memcpy(slot->payload, data, size);
}

static inline void ring_read(struct exo_message *to, const struct exo_ring_slot *slot,
                             uint64_t header)
{
    uint32_t size = ring_size_of(header);
    to->type = (uint8_t)ring_type(header);
    to->flags = (uint8_t)ring_flags(header);
    to->size = (uint16_t)size;
    if (__builtin_expect(size == EXO_RING_PAYLOAD, 1))
        memcpy(to->payload, slot->payload, EXO_RING_PAYLOAD);
    else
        memcpy(to->payload, slot->payload, size < EXO_RING_PAYLOAD ? size : EXO_RING_PAYLOAD);
}

/* From the last to the first: a consumer that sees the first one ready sees all of them, and does not
 * follow one slot behind, taking each line away while it is being written. */
static inline void ring_publish(struct exo_ring *ring, uint64_t position, uint32_t count,
                                uint64_t message)
{
    for (uint32_t i = count; i-- > 0;)
        store_release(&ring_slot(ring, position + i)->header,
                      ring_header(position + i, EXO_RING_READY, message));
    if (ring->kind == EXO_RING_SPSC)
        store_relaxed(&ring->head, position + count);
}

static inline void ring_empty(struct exo_ring *ring, uint64_t position)
{
    store_release(&ring_slot(ring, position)->header,
                  ring_header(position + ring_capacity(ring), EXO_RING_FREE, 0));
}

/* Gives slots back, the first one last, and wakes nobody yet. */
static inline void ring_empty_many(struct exo_ring *ring, uint64_t position, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;)
        ring_empty(ring, position + i);
    if (ring->kind != EXO_RING_MPMC)
        store_relaxed(&ring->tail, position + count);
}

static inline void ring_advance(uint64_t *place, uint64_t position, uint32_t count)
{
    uint64_t seen = position;
    if (load_relaxed(place) == position)
        __atomic_compare_exchange_n(place, &seen, position + count, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

/* ringwait.c: fills in *wait for an owner's word; false if the owner is dead. */
struct futex_waitv;
bool exo_word_watch(uint32_t *word, struct futex_waitv *wait);

/* ringbell.c: for who has seen, behind a full fence, that the bell is wanted. */
void exo_bell_ring(struct exo_ring_bell *bell);
/* For who is going to sleep: the word to sleep on. A full fence and the last look come between. */
static inline uint32_t exo_bell_want(struct exo_ring_bell *bell)
{
    uint32_t word = load_acquire(&bell->word);
    store_relaxed(&bell->wanted, word << 1 | 1); /* not what somebody wanted at another count */
    return word;
}
void exo_word_wake(const uint32_t *word); /* all that sleep there */

/* ring.c: up to want slots from *position on; how many, or -errno. header: the first one's, as it was
 * when it was ready. */
int exo_ring_claim_many(struct exo_ring *ring, uint32_t owner, uint32_t want, uint64_t *position);
int exo_ring_take_many(struct exo_ring *ring, uint32_t owner, uint32_t want, uint64_t *position,
                       uint64_t *header);

/* ringbatch.c: wakes nobody. */
long exo_ring_push_many_quiet(struct exo_ring *ring, uint32_t owner, uint32_t type,
                              const void *data, uint32_t size, uint32_t count);

/* ringbatch.c: wakes nobody. */
long exo_ring_push_many_quiet(struct exo_ring *ring, uint32_t owner, uint32_t type,
                              const void *data, uint32_t size, uint32_t count);

#endif
