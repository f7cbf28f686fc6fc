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

static bool is_claim(uint64_t header)
{
    uint64_t state = ring_state(header);
    return state == EXO_RING_CLAIMED || state == EXO_RING_TAKEN;
}

static void undo(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t header)
{
    uint64_t position = header >> EXO_RING_POSITION_SHIFT;
    uint64_t lost = ring_header(position, EXO_RING_READY, ring_message(0, EXO_RING_LOST, 0));
    uint64_t emptied = ring_header(position + ring_capacity(ring), EXO_RING_FREE, 0);
    bool taken = ring_state(header) == EXO_RING_TAKEN;
    if (taken && (ring_flags(header) & EXO_RING_BLOCK)) /* harmless if another does it, too */
        exo_block_drop(ring, slot, position);
    if (!compare_exchange(&slot->header, &header, taken ? emptied : lost))
        return;
    if (taken)
        exo_ring_wake_room(ring);
    else
        exo_ring_wake_data(ring);
}

bool exo_ring_repair_slot(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t header)
{
    bool dead =
        is_claim(header) && exo_owner_is_dead(&ring->owners, (uint32_t)(header & OWNER_MASK));
    if (dead)
        undo(ring, slot, header);
    return dead;
}

uint32_t exo_ring_repair_of(struct exo_ring *ring, uint32_t gone)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < ring_capacity(ring); i++) {
        struct exo_ring_slot *slot = ring_slot(ring, i);
        uint64_t header = load_acquire(&slot->header);
        if (gone != 0 && is_claim(header) && (header & OWNER_MASK) == gone) {
            undo(ring, slot, header);
            count++;
        } else {
            count += exo_ring_repair_slot(ring, slot, header);
        }
    }
    return count;
}

uint32_t exo_ring_repair(struct exo_ring *ring)
{
    return exo_ring_repair_of(ring, 0);
}
