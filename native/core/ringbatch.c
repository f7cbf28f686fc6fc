/* Fusion rings: many messages under one claim and behind one fence. The claim stands in the first
 * slot's header and says how many it is for; the others still look free, or ready, and nobody comes
 * to them but over the first one, which is published or released last.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "ring.h"

static int push_once(struct exo_ring *ring, uint32_t owner, uint64_t message, const char *data,
                     uint32_t size, uint32_t want)
{
    uint64_t position;
    int count = exo_ring_claim_many(ring, owner, want, &position);
    for (int i = 0; i < count; i++)
        ring_fill(ring_slot(ring, position + (uint32_t)i), data + (uint64_t)(uint32_t)i * size,
                  size);
    if (count > 0)
        ring_publish(ring, position, (uint32_t)count, message);
    return count;
}

long exo_ring_push_many_quiet(struct exo_ring *ring, uint32_t owner, uint32_t type,
                              const void *data, uint32_t size, uint32_t count)
{
    uint64_t message = ring_message(type, 0, size);
    long done = 0, now = 0;
    if (size > EXO_RING_PAYLOAD)
        return -EMSGSIZE;
    for (; done < count; done += now) {
        now = push_once(ring, owner, message, (const char *)data + (uint64_t)done * size, size,
                        count - (uint32_t)done);
        if (now < 0)
            break;
    }
    return done > 0 ? done : now;
}

long exo_ring_push_many(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                        uint32_t size, uint32_t count)
{
    long done = exo_ring_push_many_quiet(ring, owner, type, data, size, count);
    if (done > 0)
        exo_ring_wake_data(ring);
    return done;
}

/* How many were not lost; -errno. */
static long pop_once(struct exo_ring *ring, uint32_t owner, struct exo_message *messages,
                     uint32_t want)
{
    uint64_t position, header;
    long done = 0;
    int count = exo_ring_take_many(ring, owner, want, &position, &header);
    for (int i = 0; i < count; i++) {
        struct exo_ring_slot *slot = ring_slot(ring, position + (uint32_t)i);
        if (i > 0)
            header = load_relaxed(&slot->header);
        if (!(ring_flags(header) & EXO_RING_LOST))
            ring_read(&messages[done++], slot, header);
    }
    if (count > 0)
        ring_empty_many(ring, position, (uint32_t)count);
    return count < 0 ? count : done;
}

long exo_ring_pop_many(struct exo_ring *ring, uint32_t owner, struct exo_message *messages,
                       uint32_t count)
{
    long done = 0, now = 0;
    while (done < count && now >= 0) {
        now = pop_once(ring, owner, messages + done, count - (uint32_t)done);
        done += now > 0 ? now : 0;
    }
    if (done > 0)
        exo_ring_wake_room(ring);
    return done > 0 ? done : count == 0 ? 0 : now;
}
