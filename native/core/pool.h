/* What the files of the pool share: an entry's word taken apart. */
#ifndef EXO_CORE_POOL_H
#define EXO_CORE_POOL_H

#include <exo/pool.h>

#include "atomic.h"

static inline struct exo_block *pool_block(struct exo_pool *pool, uint64_t index)
{
    return (struct exo_block *)(pool + 1) + index;
}

static inline uint64_t block_word(uint64_t state, uint64_t owner, uint64_t position)
{
    return position << 32 | state << 16 | owner;
}

static inline uint32_t block_state(uint64_t word)
{
    return (uint32_t)(word >> 16 & 0xffff);
}

static inline uint32_t block_owner(uint64_t word)
{
    return (uint32_t)(word & 0xffff);
}

/* Whoever the word names has no more to do with the block. */
void exo_block_leave(struct exo_block *block, uint64_t word);

#endif
