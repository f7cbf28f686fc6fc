/* Fusion rings: what dead owners have left behind. Anybody may do it, at any time, several at once:
 * each repair is one compare-exchange of a header that names the dead. */
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

bool exo_ring_repair_slot(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t header)
{
    uint64_t state = ring_state(header), position = header >> EXO_RING_POSITION_SHIFT;
    if ((state != EXO_RING_CLAIMED && state != EXO_RING_TAKEN) ||
        !exo_owner_is_dead(&ring->owners, (uint32_t)(header & OWNER_MASK)))
        return false;
    uint64_t lost = ring_header(position, EXO_RING_READY, ring_message(0, EXO_RING_LOST, 0));
    uint64_t emptied = ring_header(position + ring_capacity(ring), EXO_RING_FREE, 0);
    bool taken = state == EXO_RING_TAKEN;
    if (taken && (ring_flags(header) & EXO_RING_BLOCK)) /* harmless if another does it, too */
        exo_block_drop(ring, slot, position);
    if (!compare_exchange(&slot->header, &header, taken ? emptied : lost))
        return true;
    if (taken)
        exo_ring_wake_room(ring);
    else
        exo_ring_wake_data(ring);
    return true;
}

uint32_t exo_ring_repair(struct exo_ring *ring)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < ring_capacity(ring); i++) {
        struct exo_ring_slot *slot = ring_slot(ring, i);
        count += exo_ring_repair_slot(ring, slot, load_acquire(&slot->header));
    }
    return count;
}
