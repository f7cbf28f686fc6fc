/* Fusion rings: one message at a time. exo/ring.h has the protocol. */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "ring.h"

_Static_assert(sizeof(struct exo_ring_slot) == EXO_RING_SLOT_SIZE, "a slot is a cache line");
_Static_assert(sizeof(struct exo_ring) == 256, "a line each: constants, head, tail, sleepers");

uint64_t exo_ring_size(uint32_t order)
{
    return sizeof(struct exo_ring) + ((uint64_t)EXO_RING_SLOT_SIZE << order);
}

int exo_ring_init(struct exo_ring *ring, uint32_t order, uint32_t kind, uint32_t flags)
{
    if (order < 1 || order > EXO_RING_ORDER_MAX || kind > EXO_RING_MPMC)
        return -EINVAL;
    memset(ring, 0, sizeof(*ring));
    ring->order = order;
    ring->kind = kind;
    ring->flags = flags;
    for (uint64_t i = 0; i < ring_capacity(ring); i++)
        ring_slot(ring, i)->header = ring_header(i, EXO_RING_FREE, 0);
    store_release(&ring->magic, EXO_RING_MAGIC);
    return 0;
}

/* Of a lone producer, which need not claim. One before it may have died between publishing and
 * saying so in head. */
static struct exo_ring_slot *claim_alone(struct exo_ring *ring, uint64_t *position, int *error)
{
    for (uint64_t at = load_relaxed(&ring->head);; store_relaxed(&ring->head, ++at)) {
        struct exo_ring_slot *slot = ring_slot(ring, at);
        uint64_t header = load_acquire(&slot->header);
        int32_t ahead = ring_ahead(header, at);
        *position = at;
        if (ahead == 0 && ring_state(header) == EXO_RING_FREE)
            return slot;
        if (ahead < 0)
            break;
    }
    *error = -EAGAIN;
    return NULL;
}

static bool likely_open(const struct exo_ring *ring)
{
    return __builtin_expect(load_relaxed(&ring->closed) == 0, 1);
}

struct exo_ring_slot *exo_ring_claim(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                     int *error)
{
    if (!likely_open(ring)) {
        *error = -EPIPE;
        return NULL;
    }
    if (ring->kind == EXO_RING_SPSC)
        return claim_alone(ring, position, error);
    uint64_t at = load_relaxed(&ring->head);
    for (;;) {
        struct exo_ring_slot *slot = ring_slot(ring, at);
        uint64_t header = load_acquire(&slot->header);
        int32_t ahead = ring_ahead(header, at);
        if (ahead == 0 && ring_state(header) == EXO_RING_FREE) {
            if (!compare_exchange(&slot->header, &header, ring_header(at, EXO_RING_CLAIMED, owner)))
                continue;
            ring_advance(&ring->head, at);
            *position = at;
            if (likely_open(ring))
                return slot;
            exo_ring_publish(ring, slot, at, 0, EXO_RING_LOST, 0); /* closed before the claim */
            *error = -EPIPE;
            return NULL;
        }
        if (ahead == 0) { /* claimed by another, who may not have got to say so */
            ring_advance(&ring->head, at++);
            continue;
        }
        uint64_t now = load_relaxed(&ring->head);
        if (now > at)
            at = now;
        else if (ahead > 0) /* filled and emptied since */
            ring_advance(&ring->head, at++);
        else if (!exo_ring_repair_slot(ring, slot, header)) {
            *error = -EAGAIN;
            return NULL;
        }
    }
}

void exo_ring_publish(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position,
                      uint32_t type, uint32_t flags, uint32_t size)
{
    store_release(&slot->header,
                  ring_header(position, EXO_RING_READY, ring_message(type, flags, size)));
    if (ring->kind == EXO_RING_SPSC)
        store_relaxed(&ring->head, position + 1);
    exo_ring_wake_data(ring);
}

/* Nothing to be taken: closed, as it was before the look at the header, says that nothing comes. */
static struct exo_ring_slot *nothing(bool closed, uint64_t header, int *error)
{
    *error = closed && ring_state(header) == EXO_RING_FREE ? -EPIPE : -EAGAIN;
    return NULL;
}

/* Of a lone consumer. */
static struct exo_ring_slot *take_alone(struct exo_ring *ring, uint64_t *position, uint64_t *header,
                                        int *error)
{
    uint64_t at = load_relaxed(&ring->tail);
    for (;;) {
        struct exo_ring_slot *slot = ring_slot(ring, at);
        bool closed = load_acquire(&ring->closed);
        *header = load_acquire(&slot->header);
        *position = at;
        int32_t ahead = ring_ahead(*header, at);
        if (ahead == 0 && ring_state(*header) == EXO_RING_READY)
            return slot;
        if (ahead > 0) /* released by one that died before it said so in tail */
            store_relaxed(&ring->tail, ++at);
        else if (!exo_ring_repair_slot(ring, slot, *header))
            return nothing(closed, *header, error);
    }
}

static struct exo_ring_slot *take(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                  uint64_t *header, int *error)
{
    uint64_t at = load_relaxed(&ring->tail);
    for (;;) {
        struct exo_ring_slot *slot = ring_slot(ring, at);
        bool closed = load_acquire(&ring->closed);
        uint64_t now = load_acquire(&slot->header);
        int32_t ahead = ring_ahead(now, at);
        if (ahead == 0 && ring_state(now) == EXO_RING_READY) {
            *header = now;
            if (!compare_exchange(&slot->header, &now, ring_taken(now, owner)))
                continue;
            ring_advance(&ring->tail, at);
            *position = at;
            return slot;
        }
        if (ahead == 0 && ring_state(now) == EXO_RING_TAKEN) {
            ring_advance(&ring->tail, at++);
            continue;
        }
        uint64_t tail = load_relaxed(&ring->tail);
        if (tail > at)
            at = tail;
        else if (ahead > 0) /* emptied, by one that has not got to say so */
            ring_advance(&ring->tail, at++);
        else if (!exo_ring_repair_slot(ring, slot, now))
            return nothing(closed, now, error);
    }
}

struct exo_ring_slot *exo_ring_take(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                    uint64_t *header, int *error)
{
    for (;;) {
        struct exo_ring_slot *slot = ring->kind == EXO_RING_MPMC
                                         ? take(ring, owner, position, header, error)
                                         : take_alone(ring, position, header, error);
        if (slot == NULL || !(ring_flags(*header) & EXO_RING_LOST))
            return slot;
        exo_ring_release(ring, slot, *position);
    }
}

void exo_ring_release(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position)
{
    ring_empty(ring, slot, position);
    exo_ring_wake_room(ring);
}

int exo_ring_push(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                  uint32_t size)
{
    uint64_t position;
    int error = 0;
    if (size > EXO_RING_PAYLOAD)
        return -EMSGSIZE;
    struct exo_ring_slot *slot = exo_ring_claim(ring, owner, &position, &error);
    if (slot == NULL)
        return error;
    memcpy(slot->payload, data, size);
    exo_ring_publish(ring, slot, position, type, 0, size);
    return 0;
}

int exo_ring_pop(struct exo_ring *ring, uint32_t owner, struct exo_message *message)
{
    uint64_t position, header;
    int error = 0;
    struct exo_ring_slot *slot = exo_ring_take(ring, owner, &position, &header, &error);
    if (slot == NULL)
        return error;
    ring_read(message, slot, header);
    exo_ring_release(ring, slot, position);
    return 0;
}

void exo_ring_close(struct exo_ring *ring)
{
    store_release(&ring->closed, 1);
    exo_ring_wake_data(ring);
    exo_ring_wake_room(ring);
}

uint64_t exo_ring_count(const struct exo_ring *ring)
{
    uint64_t tail = load_acquire(&ring->tail), head = load_acquire(&ring->head);
    return head > tail ? head - tail : 0;
}
