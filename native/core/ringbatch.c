/* Fusion rings: many messages behind one fence. */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "ring.h"

#define CHUNK 64

/* Of a lone producer: payloads and headers in plain stores, the first header last, so that nothing
 * is seen before all of it is there. */
static long push_alone(struct exo_ring *ring, uint64_t message, const char *data, uint32_t size,
                       uint32_t count)
{
    uint64_t first;
    int error = 0;
    struct exo_ring_slot *slot = exo_ring_claim(ring, 0, &first, &error);
    if (slot == NULL)
        return error;
    uint32_t done = 1;
    for (; done < count; done++) {
        struct exo_ring_slot *next = ring_slot(ring, first + done);
        uint64_t header = load_acquire(&next->header);
        if (ring_ahead(header, first + done) != 0 || ring_state(header) != EXO_RING_FREE)
            break;
        memcpy(next->payload, data + (uint64_t)done * size, size);
        store_release(&next->header, ring_header(first + done, EXO_RING_READY, message));
    }
    memcpy(slot->payload, data, size);
    store_release(&slot->header, ring_header(first, EXO_RING_READY, message));
    store_relaxed(&ring->head, first + done);
    exo_ring_wake_data(ring);
    return done;
}

/* Among several: all claimed, then all filled, then published from the last to the first, so that a
 * consumer does not follow one slot behind and take each line away while it is being written. */
static long push_among(struct exo_ring *ring, uint32_t owner, uint64_t message, const char *data,
                       uint32_t size, uint32_t count)
{
    struct exo_ring_slot *slots[CHUNK];
    uint64_t positions[CHUNK];
    uint32_t done = 0;
    int error = 0;
    while (done < count && done < CHUNK &&
           (slots[done] = exo_ring_claim(ring, owner, &positions[done], &error)) != NULL)
        done++;
    for (uint32_t i = 0; i < done; i++)
        memcpy(slots[i]->payload, data + (uint64_t)i * size, size);
    for (uint32_t i = done; i-- > 0;)
        store_release(&slots[i]->header, ring_header(positions[i], EXO_RING_READY, message));
    return done > 0 ? (long)done : error;
}

long exo_ring_push_many(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                        uint32_t size, uint32_t count)
{
    uint64_t message = ring_message(type, 0, size);
    long done = 0, now = 0;
    if (size > EXO_RING_PAYLOAD)
        return -EMSGSIZE;
    if (count == 0)
        return 0;
    if (ring->kind == EXO_RING_SPSC)
        return push_alone(ring, message, data, size, count);
    for (; done < count; done += now) {
        now = push_among(ring, owner, message, (const char *)data + (uint64_t)done * size, size,
                         count - (uint32_t)done);
        if (now < 0)
            break;
    }
    if (done > 0)
        exo_ring_wake_data(ring);
    return done > 0 ? done : now;
}

long exo_ring_pop_many(struct exo_ring *ring, uint32_t owner, struct exo_message *messages,
                       uint32_t count)
{
    uint32_t done = 0;
    int error = 0;
    for (; done < count; done++) {
        uint64_t position, header;
        struct exo_ring_slot *slot = exo_ring_take(ring, owner, &position, &header, &error);
        if (slot == NULL)
            break;
        ring_read(&messages[done], slot, header);
        ring_empty(ring, slot, position);
    }
    if (done > 0)
        exo_ring_wake_room(ring);
    return done > 0 ? (long)done : count == 0 ? 0 : error;
}
