/* Fusion rings: what dead owners have left behind. Anybody may do it, at any time, several at once:
 * each slot is repaired by one compare-exchange, the one that names the dead last. */
#include <linux/futex.h>

#include <exo/pool.h>

#include "ring.h"

void exo_owners_set(struct exo_owners *owners, const uint32_t *first, uint64_t stride,
                    uint64_t count)
{
    owners->away = (const char *)first - (const char *)owners;
    owners->stride = stride;
    owners->count = count;
}

bool exo_owner_is_dead(const struct exo_owners *owners, uint32_t owner)
{
    if (owner == 0 || owner >= owners->count)
        return false;
    const char *word = (const char *)owners + owners->away + owner * owners->stride;
    uint32_t now = load_acquire((const uint32_t *)word);
    return now == 0 || (now & FUTEX_OWNER_DIED);
}

/* What a slot becomes after its owner's death: a message that is lost, or room. A block goes first:
 * harmless if another drops it, too. */
static bool undo_slot(struct exo_ring *ring, uint64_t position, uint64_t header, bool taken)
{
    struct exo_ring_slot *slot = ring_slot(ring, position);
    uint64_t lost = ring_header(position, EXO_RING_READY, ring_message(0, EXO_RING_LOST, 0));
    uint64_t emptied = ring_header(position + ring_capacity(ring), EXO_RING_FREE, 0);
    if (taken && (ring_flags(header) & EXO_RING_BLOCK))
        exo_block_drop(ring, slot, position);
    return compare_exchange(&slot->header, &header, taken ? emptied : lost);
}

/* The rest of a batch first: nobody comes there but over the first slot. What its producer has
 * published, or its consumer released, is as it should be. */
static void undo(struct exo_ring *ring, uint64_t header)
{
    uint64_t position = header >> EXO_RING_POSITION_SHIFT;
    bool taken = ring_state(header) == EXO_RING_TAKEN;
    uint64_t left = taken ? EXO_RING_READY : EXO_RING_FREE;
    for (uint32_t i = ring_span(header); i-- > 1;) {
        uint64_t now = load_acquire(&ring_slot(ring, position + i)->header);
        if (ring_ahead(now, position + i) == 0 && ring_state(now) == left)
            undo_slot(ring, position + i, now, taken);
    }
    if (!undo_slot(ring, position, header, taken))
        return;
    if (taken)
        exo_ring_wake_room(ring);
    else
        exo_ring_wake_data(ring);
}

bool exo_ring_repair_claim(struct exo_ring *ring, uint64_t header)
{
    bool dead =
        ring_is_claim(header) && exo_owner_is_dead(&ring->owners, (uint32_t)(header & OWNER_MASK));
    if (dead)
        undo(ring, header);
    return dead;
}

uint32_t exo_ring_repair_of(struct exo_ring *ring, uint32_t gone)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < ring_capacity(ring); i++) {
        uint64_t header = load_acquire(&ring_slot(ring, i)->header);
        if (gone != 0 && ring_is_claim(header) && (header & OWNER_MASK) == gone) {
            undo(ring, header);
            count++;
        } else {
            count += exo_ring_repair_claim(ring, header);
        }
    }
    return count;
}

uint32_t exo_ring_repair(struct exo_ring *ring)
{
    return exo_ring_repair_of(ring, 0);
}
