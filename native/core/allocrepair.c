/* What dead owners have left in a heap, and what nobody needs; sums. exo/alloc.h says why setting a
 * bit twice is harmless until the dead one's claim is ended.
 */
#include "alloc.h"

static bool is_dead(struct exo_heap_user *user, uint32_t owner)
{
    return owner != user->owner && exo_owner_is_dead(&heap_of(user)->owners, owner);
}

/* A claim for the repairer; false: a dead one's serves as well. */
static bool claim_or_inherit(struct exo_heap_user *user, uint32_t chunk)
{
    for (;;) {
        uint32_t holder = load_acquire(&slab_at(user, chunk)->claim);
        if (holder != 0 && is_dead(user, holder - 1))
            return false;
        if (exo_slab_try(user, chunk))
            return true;
        spin_pause();
    }
}

static uint64_t return_list(struct exo_heap_user *user, uint64_t *list, uint32_t class_)
{
    uint64_t count = 0, limit = user->size / 16;
    for (uint64_t at; (at = load_acquire(list)) != 0 && at < user->size && count < limit; count++) {
        uint32_t chunk = (uint32_t)(at / CHUNK_SIZE);
        if (!class_serves(class_in(user, chunk), class_))
            break;
        struct exo_slab *slab = slab_at(user, chunk);
        bool claimed = claim_or_inherit(user, chunk);
        exo_slab_set(user, slab, chunk, index_in(slab, at));
        store_release(list, object_at(user, at)->next);
        if (claimed)
            exo_slab_unclaim(user, chunk);
    }
    store_release(list, 0);
    return count;
}

static uint64_t return_lists(struct exo_heap_user *user, uint32_t owner)
{
    struct exo_cache *cache = cache_at(user, owner);
    uint64_t count = 0;
    cache_settle(user, cache);
    for (uint32_t class_ = 1; class_ < EXO_CLASS_COUNT; class_++)
        if (cache->list[class_] != 0)
            count += return_list(user, &cache->list[class_], class_);
    return count;
}

/* What is derived of a slab's bits, as its claimer may have died over it. */
static void recount(struct exo_heap_user *user, uint32_t chunk)
{
    struct exo_slab *slab = slab_at(user, chunk);
    slab->free = 0;
    slab->nonzero = 0;
    for (uint32_t i = 0; i < EXO_SLAB_WORDS; i++) {
        slab->free += (uint32_t)__builtin_popcountll(slab->bits[i]);
        slab->nonzero |= (uint64_t)(slab->bits[i] != 0) << i;
    }
    uint32_t class_ = class_in(user, chunk);
    if (slab->free != 0 && class_ != 0)
        exo_partial_set(user, class_, chunk);
}

static void end_claim(struct exo_heap_user *user, uint32_t owner)
{
    uint32_t chunk = load_acquire(&cache_at(user, owner)->claimed);
    if (chunk == 0 || chunk >= user->chunks || slab_at(user, chunk)->claim != owner + 1)
        return;
    recount(user, chunk);
    exo_slab_unclaim(user, chunk);
}

static uint32_t owner_top(struct exo_heap_user *user)
{
    uint32_t top = load_acquire(&heap_of(user)->owner_top);
    return top < user->owner_limit ? top : user->owner_limit;
}

/* All lists first: until then no claim of the dead may end. */
uint64_t exo_heap_repair(struct exo_heap_user *user)
{
    uint64_t count = 0;
    exo_heap_lock(user);
    uint32_t top = owner_top(user);
    for (uint32_t owner = 1; owner < top; owner++)
        if (is_dead(user, owner))
            count += return_lists(user, owner);
    for (uint32_t owner = 1; owner < top; owner++)
        if (is_dead(user, owner))
            end_claim(user, owner);
    exo_heap_unlock(user);
    return count;
}

void exo_heap_unclaim_anonymous(struct exo_heap_user *user)
{
    uint32_t top = load_relaxed(&heap_of(user)->page_top) / EXO_CHUNK_PAGES;
    for (uint32_t chunk = first_chunk(user); chunk <= top && chunk < user->chunks; chunk++)
        if (slab_at(user, chunk)->claim == 1) {
            recount(user, chunk);
            exo_slab_unclaim(user, chunk);
        }
}

uint64_t exo_heap_trim(struct exo_heap_user *user)
{
    uint64_t before = heap_of(user)->purged_pages;
    for (uint32_t class_ = 1; user->own != NULL && class_ < EXO_CLASS_COUNT; class_++)
        exo_slab_spill(user, user->own, class_, UINT32_MAX);
    uint32_t top = load_relaxed(&heap_of(user)->page_top) / EXO_CHUNK_PAGES;
    for (uint32_t chunk = first_chunk(user); chunk <= top && chunk < user->chunks; chunk++) {
        if (class_in(user, chunk) == 0 || !exo_slab_try(user, chunk))
            continue;
        bool empty = slab_at(user, chunk)->free == slab_at(user, chunk)->count;
        if (empty)
            store_relaxed(&slab_at(user, chunk)->cpu, 0);
        else if (!(user->flags & DEBUG_FLAGS) && class_in(user, chunk) != 0)
            exo_slab_return(user, chunk, class_in(user, chunk));
        exo_slab_unclaim(user, chunk);
        if (empty)
            exo_slab_retire(user, chunk);
    }
    exo_heap_lock(user);
    exo_run_purge_locked(user, 0);
    exo_heap_unlock(user);
    return (heap_of(user)->purged_pages - before) * PAGE_SIZE;
}

/* Its owner may be writing to it: about. */
static uint64_t list_bytes(struct exo_heap_user *user, uint64_t at)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i <= UINT16_MAX && at != 0 && at < user->size && at % 16 == 0; i++) {
        bytes += class_size(class_in(user, at / CHUNK_SIZE));
        at = load_relaxed(&object_at(user, at)->next);
    }
    return bytes;
}

static void add_cache(struct exo_heap_user *user, uint32_t owner, struct exo_heap_stats *stats)
{
    const struct exo_cache *cache = cache_at(user, owner);
    stats->hits += load_relaxed(&cache->hits);
    stats->misses += load_relaxed(&cache->misses);
    stats->fresh += load_relaxed(&cache->fresh);
    stats->frees += load_relaxed(&cache->frees);
    stats->spills += load_relaxed(&cache->spills);
    stats->larges += load_relaxed(&cache->larges);
    uint32_t back = load_relaxed(&cache->back_class);
    stats->cached += back < EXO_CLASS_COUNT ? class_size(back) : 0;
    for (uint32_t class_ = 1; class_ < EXO_CLASS_COUNT; class_++)
        stats->cached += list_bytes(user, load_relaxed(&cache->list[class_]));
}

static void add_slab(const struct exo_slab *slab, struct exo_heap_stats *stats)
{
    uint64_t free = (uint64_t)load_relaxed(&slab->free) * slab->size, used = slab->count;
    uint32_t pages = load_relaxed(&slab->returned);
    used = (used * slab->size + PAGE_SIZE - 1) / PAGE_SIZE; /* what is behind is no object's */
    if (used < EXO_CHUNK_PAGES)
        pages &= (1U << used) - 1;
    uint64_t returned = (uint64_t)__builtin_popcount(pages) * PAGE_SIZE;
    stats->slab_free += free;
    stats->returned += returned < free ? returned : free;
}

void exo_heap_stats(struct exo_heap_user *user, struct exo_heap_stats *stats)
{
    const struct exo_heap *heap = heap_of(user);
    uint32_t top = load_relaxed(&heap->page_top) / EXO_CHUNK_PAGES;
    memset(stats, 0, sizeof(*stats));
    stats->size = user->size;
    stats->large = heap->large_pages * PAGE_SIZE;
    stats->slabs = heap->slab_count * CHUNK_SIZE;
    stats->dirty = heap->dirty_pages * PAGE_SIZE;
    stats->resident = stats->large + stats->slabs + stats->dirty;
    for (uint32_t owner = 1; owner < owner_top(user); owner++)
        add_cache(user, owner, stats);
    for (uint32_t chunk = first_chunk(user); chunk <= top && chunk < user->chunks; chunk++)
        if (class_in(user, chunk) != 0)
            add_slab(slab_at(user, chunk), stats);
    stats->resident -= stats->returned;
}
