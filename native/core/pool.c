/* Blocks of shared memory for large messages. exo/pool.h has the layout.
 *
 * An entry changes hands by compare-exchange of its word alone, so at each instant it is said whose
 * it is. Sharers stand beside it; who leaves last frees.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "pool.h"

#define PAGE_UP(x) (((x) + 4095) & ~4095UL)

_Static_assert(sizeof(struct exo_pool) == 128 && sizeof(struct exo_block) == 32, "layout");

uint64_t exo_pool_size(uint64_t block_size, uint64_t count)
{
    return PAGE_UP(sizeof(struct exo_pool) + count * sizeof(struct exo_block)) + block_size * count;
}

int exo_pool_init(struct exo_pool *pool, uint64_t block_size, uint64_t count)
{
    if (block_size == 0 || (block_size & 4095) || count == 0 || count > UINT32_MAX)
        return -EINVAL;
    memset(pool, 0, sizeof(*pool));
    pool->block_size = block_size;
    pool->count = count;
    pool->blocks_at = PAGE_UP(sizeof(*pool) + count * sizeof(struct exo_block));
    memset(pool + 1, 0, count * sizeof(struct exo_block));
    store_release(&pool->magic, EXO_POOL_MAGIC);
    return 0;
}

long exo_block_create(struct exo_pool *pool, uint32_t owner)
{
    uint64_t start = load_relaxed(&pool->next);
    for (uint64_t i = 0; i < pool->count; i++) {
        uint64_t index = (start + i) % pool->count;
        struct exo_block *block = pool_block(pool, index);
        uint64_t word = load_relaxed(&block->word);
        if (block_state(word) != EXO_BLOCK_FREE ||
            !compare_exchange(&block->word, &word, block_word(EXO_BLOCK_HELD, owner, 0)))
            continue;
        store_relaxed(&pool->next, index + 1 < pool->count ? index + 1 : 0);
        return (long)index;
    }
    return -EAGAIN;
}

/* A sharer takes the place of the one named by the word, or nobody is left. The sharer is named twice
 * for a moment: killed in between, the block comes back when that one dies. */
void exo_block_leave(struct exo_block *block, uint64_t word)
{
    for (int i = 0; i < EXO_POOL_SHARERS; i++) {
        uint16_t heir = load_acquire(&block->sharers[i]);
        uint64_t next = block_word(EXO_BLOCK_HELD, heir, 0);
        if (heir == 0)
            continue;
        if (!compare_exchange(&block->word, &word, next) ||
            compare_exchange(&block->sharers[i], &heir, 0))
            return;
        word = next; /* has left meanwhile */
    }
    compare_exchange(&block->word, &word, block_word(EXO_BLOCK_FREE, 0, 0));
}

void exo_block_free(struct exo_pool *pool, uint32_t index, uint32_t owner)
{
    struct exo_block *block = pool_block(pool, index);
    for (int i = 0; i < EXO_POOL_SHARERS; i++) {
        uint16_t sharer = (uint16_t)owner;
        if (sharer != 0 && load_relaxed(&block->sharers[i]) == sharer &&
            compare_exchange(&block->sharers[i], &sharer, 0))
            return;
    }
    uint64_t word = load_acquire(&block->word);
    if (block_state(word) == EXO_BLOCK_HELD && block_owner(word) == owner)
        exo_block_leave(block, word);
}

int exo_block_share(struct exo_pool *pool, uint32_t index, uint32_t with)
{
    struct exo_block *block = pool_block(pool, index);
    for (int i = 0; i < EXO_POOL_SHARERS; i++) {
        uint16_t none = 0;
        if (compare_exchange(&block->sharers[i], &none, (uint16_t)with))
            return 0;
    }
    return -EMLINK;
}

void *exo_block_at(struct exo_pool *pool, uint32_t index)
{
    return (char *)pool + pool->blocks_at + index * pool->block_size;
}

int exo_block_write(struct exo_pool *pool, uint32_t index, const void *data, uint64_t size)
{
    if (size > pool->block_size)
        return -EMSGSIZE;
    memcpy(exo_block_at(pool, index), data, size);
    fetch_add(&pool->copied, size);
    return 0;
}

int exo_block_read(struct exo_pool *pool, uint32_t index, void *data, uint64_t size)
{
    if (size > pool->block_size)
        return -EMSGSIZE;
    memcpy(data, exo_block_at(pool, index), size);
    fetch_add(&pool->copied, size);
    return 0;
}

uint64_t exo_pool_free_count(const struct exo_pool *pool)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < pool->count; i++)
        count += block_state(load_relaxed(&pool_block((struct exo_pool *)pool, i)->word)) ==
                 EXO_BLOCK_FREE;
    return count;
}
