/* The way back from the allocator's first level to the second, and from there to the third. */
#include "alloc.h"

bool exo_slab_set(struct exo_heap_user *user, struct exo_slab *slab, uint32_t chunk, uint32_t index)
{
    uint64_t bit = 1UL << index % 64, word = slab->bits[index / 64 % EXO_SLAB_WORDS];
    if (word & bit)
        return false;
    slab->bits[index / 64 % EXO_SLAB_WORDS] = word | bit;
    slab->nonzero |= 1UL << index / 64 % 64;
    if (slab->free++ == 0)
        exo_partial_set(user, slab->class_ % EXO_CLASS_ROOM, chunk);
    return true;
}

static bool is_empty(const struct exo_slab *slab)
{
    return slab->free == slab->count && load_relaxed(&slab->cpu) == 0;
}

/* Gives an empty slab's pages back, if it still is one. Between the two ends of the lock, nobody
 * else makes slabs or ends them. */
void exo_slab_retire(struct exo_heap_user *user, uint32_t chunk)
{
    if (user->flags & DEBUG_FLAGS)
        return; /* what is poisoned is looked at where it lies */
    struct exo_heap *heap = heap_of(user);
    struct exo_slab *slab = slab_at(user, chunk);
    exo_heap_lock(user);
    uint32_t class_ = class_in(user, chunk);
    if (class_ != 0 && exo_slab_try(user, chunk)) {
        bool ends = class_in(user, chunk) == class_ && is_empty(slab);
        if (ends) {
            store_release(class_at(user, chunk), 0);
            exo_partial_clear(user, class_, chunk);
            heap->slab_count--;
            heap->slabs_of[class_]--;
            slab->free = 0;
        }
        exo_slab_unclaim(user, chunk);
        if (ends)
            exo_run_free_locked(user, (uint64_t)chunk * EXO_CHUNK_PAGES);
    }
    exo_heap_unlock(user);
}

void exo_slab_spill(struct exo_heap_user *user, struct exo_cache *cache, uint32_t class_,
                    uint32_t count)
{
    cache_settle(user, cache);
    uint64_t at = load_relaxed(&cache->list[class_]);
    while (count > 0 && at != 0) {
        uint32_t chunk = (uint32_t)(at / CHUNK_SIZE);
        struct exo_slab *slab = slab_at(user, chunk);
        if (at >= user->size || !class_serves(class_in(user, chunk), class_))
            break; /* overwritten by somebody: the list ends here */
        exo_slab_claim(user, chunk);
        for (; count > 0 && at / CHUNK_SIZE == chunk; count--) {
            exo_slab_set(user, slab, chunk, index_in(slab, at));
            at = object_at(user, at)->next;
        }
        store_release(&cache->list[class_], at);
        bool empty = is_empty(slab);
        exo_slab_unclaim(user, chunk);
        if (empty)
            exo_slab_retire(user, chunk);
    }
    if (count > 0)
        store_release(&cache->list[class_], 0);
    exo_heap_sweep(user);
}

int exo_slab_put(struct exo_heap_user *user, uint64_t offset)
{
    uint32_t chunk = (uint32_t)(offset / CHUNK_SIZE);
    struct exo_slab *slab = slab_at(user, chunk);
    exo_slab_claim(user, chunk);
    uint32_t index = index_in(slab, offset);
    bool known = class_in(user, chunk) != 0 && index < slab->count &&
                 (uint64_t)index * slab->size == offset % CHUNK_SIZE;
    bool held = known && exo_slab_set(user, slab, chunk, index);
    bool empty = held && is_empty(slab);
    exo_slab_unclaim(user, chunk);
    if (empty)
        exo_slab_retire(user, chunk);
    return held ? 0 : known ? -EALREADY : -EFAULT;
}
