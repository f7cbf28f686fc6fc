/* Messages that carry a block.
 *
 * Order, so that a kill at any instruction loses nothing for good: a sender marks the block as sent
 * to a position before it publishes there; a receiver marks it as its own before it releases the
 * slot. A block marked as sent whose slot does not have it was lost on the way.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "pool.h"
#include "ring.h"

_Static_assert(sizeof(struct exo_block_ref) == EXO_BLOCK_REF_SIZE, "layout");

int exo_ring_send_block(struct exo_ring *ring, uint32_t owner, uint32_t type, struct exo_pool *pool,
                        uint32_t index, uint64_t size)
{
    uint64_t position, held = block_word(EXO_BLOCK_HELD, owner, 0);
    int error = 0;
    if (index >= pool->count)
        return -EBADF;
    if (size > pool->block_size)
        return -EMSGSIZE;
    struct exo_block *block = pool_block(pool, index);
    if (load_relaxed(&block->word) != held)
        return -EBADF;
    struct exo_ring_slot *slot = exo_ring_claim(ring, owner, &position, &error);
    if (slot == NULL)
        return error;
    struct exo_block_ref ref = {
        .pool_away = (char *)pool - (char *)ring, .size = size, .index = index};
    store_relaxed(&block->ring_away, -ref.pool_away);
    store_release(&block->word, block_word(EXO_BLOCK_SENT, owner, position & UINT32_MAX));
    memcpy(slot->payload, &ref, sizeof(ref));
    exo_ring_publish(ring, slot, position, type, EXO_RING_BLOCK, sizeof(ref));
    return 0;
}

/* The block that a slot's payload names; NULL if it makes no sense, or is another's by now. */
static struct exo_block *find_block(struct exo_ring *ring, const struct exo_ring_slot *slot,
                                    uint64_t position, struct exo_block_ref *ref,
                                    struct exo_pool **pool)
{
    memcpy(ref, slot->payload, sizeof(*ref));
    order_loads(); /* loads are in order on x86: what was read stood there at the position */
    if (ring_ahead(load_acquire(&slot->header), position) != 0)
        return NULL;
    *pool = (struct exo_pool *)((char *)ring + ref->pool_away);
    bool good = load_relaxed(&(*pool)->magic) == EXO_POOL_MAGIC && ref->index < (*pool)->count &&
                ref->size <= (*pool)->block_size;
    return good ? pool_block(*pool, ref->index) : NULL;
}

/* Its word, if it is on the way to this very slot; else 0. */
static uint64_t sent_to(struct exo_ring *ring, struct exo_pool *pool, struct exo_block *block,
                        uint64_t position)
{
    uint64_t word = load_acquire(&block->word);
    bool here = block_state(word) == EXO_BLOCK_SENT &&
                (uint32_t)(word >> 32) == (uint32_t)position &&
                load_relaxed(&block->ring_away) == (char *)ring - (char *)pool;
    return here ? word : 0;
}

int exo_block_receive(struct exo_ring *ring, const struct exo_ring_slot *slot, uint64_t position,
                      uint32_t owner, struct exo_pool **pool, uint32_t *index, uint64_t *size)
{
    struct exo_block_ref ref;
    struct exo_block *block = find_block(ring, slot, position, &ref, pool);
    uint64_t word = block == NULL ? 0 : sent_to(ring, *pool, block, position);
    if (word == 0 || !compare_exchange(&block->word, &word, block_word(EXO_BLOCK_HELD, owner, 0)))
        return -EBADF;
    *index = ref.index;
    *size = ref.size;
    return 0;
}

void exo_block_drop(struct exo_ring *ring, const struct exo_ring_slot *slot, uint64_t position)
{
    struct exo_block_ref ref;
    struct exo_pool *pool;
    struct exo_block *block = find_block(ring, slot, position, &ref, &pool);
    uint64_t word = block == NULL ? 0 : sent_to(ring, pool, block, position);
    if (word != 0)
        exo_block_leave(block, word);
}

int exo_ring_receive_block(struct exo_ring *ring, uint32_t owner, struct exo_pool **pool,
                           uint32_t *index, uint64_t *size)
{
    uint64_t position, header;
    int error = 0;
    for (;;) {
        struct exo_ring_slot *slot = exo_ring_take(ring, owner, &position, &header, &error);
        if (slot == NULL)
            return error;
        error = ring_flags(header) & EXO_RING_BLOCK
                    ? exo_block_receive(ring, slot, position, owner, pool, index, size)
                    : -EBADMSG;
        exo_ring_release(ring, slot, position);
        if (error != -EBADF) /* that one was its last receiver's, who has died over it */
            return error;
    }
}

/* Whether a block of a dead sender will still be received. */
static bool is_on_the_way(struct exo_pool *pool, const struct exo_block *block, uint64_t word,
                          uint64_t index)
{
    struct exo_ring *ring = (struct exo_ring *)((char *)pool + load_relaxed(&block->ring_away));
    uint64_t position = word >> 32;
    struct exo_ring_slot *slot = ring_slot(ring, position);
    uint64_t header = load_acquire(&slot->header), state = ring_state(header);
    struct exo_block_ref ref;
    if (ring_ahead(header, position) != 0 || !(ring_flags(header) & EXO_RING_BLOCK))
        return false;
    memcpy(&ref, slot->payload, sizeof(ref));
    return (state == EXO_RING_READY || state == EXO_RING_TAKEN) && ref.index == index &&
           ref.pool_away == (char *)pool - (char *)ring;
}

/* gone: an owner that is not there any more whatever its word says, 0 nobody. */
static bool is_gone(const struct exo_pool *pool, uint32_t owner, uint32_t gone)
{
    return (gone != 0 && owner == gone) || exo_owner_is_dead(&pool->owners, owner);
}

static bool repair_block(struct exo_pool *pool, uint64_t index, uint32_t gone)
{
    struct exo_block *block = pool_block(pool, index);
    bool repaired = false;
    for (int i = 0; i < EXO_POOL_SHARERS; i++) {
        uint16_t sharer = load_relaxed(&block->sharers[i]);
        if (sharer != 0 && is_gone(pool, sharer, gone))
            repaired |= compare_exchange(&block->sharers[i], &sharer, 0);
    }
    uint64_t word = load_acquire(&block->word);
    if (block_state(word) == EXO_BLOCK_FREE || !is_gone(pool, block_owner(word), gone) ||
        (block_state(word) == EXO_BLOCK_SENT && is_on_the_way(pool, block, word, index)))
        return repaired;
    exo_block_leave(block, word);
    return true;
}

uint32_t exo_pool_repair_of(struct exo_pool *pool, uint32_t gone)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < pool->count; i++)
        count += repair_block(pool, i, gone);
    return count;
}

uint32_t exo_pool_repair(struct exo_pool *pool)
{
    return exo_pool_repair_of(pool, 0);
}
