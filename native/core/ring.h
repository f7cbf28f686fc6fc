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

/* While taken, flags and type stay in the header: whoever repairs it must know of a block. */
static inline uint64_t ring_taken(uint64_t ready, uint32_t owner)
{
    return (ready & ~(STATE_MASK << EXO_RING_STATE_SHIFT | OWNER_MASK)) |
           (uint64_t)EXO_RING_TAKEN << EXO_RING_STATE_SHIFT | owner;
}

static inline void ring_read(struct exo_message *to, const struct exo_ring_slot *slot,
                             uint64_t header)
{
    uint32_t size = ring_size_of(header);
    to->type = (uint8_t)ring_type(header);
    to->flags = (uint8_t)ring_flags(header);
    to->size = (uint16_t)size;
    memcpy(to->payload, slot->payload, size <= EXO_RING_PAYLOAD ? size : EXO_RING_PAYLOAD);
}

/* Gives a slot back, and wakes nobody yet. */
static inline void ring_empty(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position)
{
    store_release(&slot->header, ring_header(position + ring_capacity(ring), EXO_RING_FREE, 0));
    if (ring->kind != EXO_RING_MPMC)
        store_relaxed(&ring->tail, position + 1);
}

static inline void ring_advance(uint64_t *place, uint64_t position)
{
    uint64_t seen = position;
    if (load_relaxed(place) == position)
        __atomic_compare_exchange_n(place, &seen, position + 1, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

#endif
