/* The allocator's first level, and what it does for sizes beyond it. */
#include "alloc.h"

uint32_t exo_class_of(uint64_t size)
{
    return class_of(size);
}

uint32_t exo_class_size(uint32_t class_)
{
    return (uint32_t)class_size(class_);
}

uint32_t exo_class_aligned(uint64_t size, uint64_t align)
{
    uint64_t least = size > align ? size : align;
    if (align > PAGE_SIZE || least > EXO_SMALL_LIMIT)
        return 0;
    for (uint32_t class_ = class_of(least); class_ < EXO_CLASS_COUNT; class_++)
        if (class_size(class_) % align == 0)
            return class_;
    return 0;
}

/* --- objects of whole pages -------------------------------------------------------------------- */

uint64_t exo_large_alloc(struct exo_heap_user *user, uint64_t size, uint64_t align, bool *clean)
{
    if (size > user->size || align > user->size)
        return 0;
    uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE, aligned = align / PAGE_SIZE;
    exo_heap_lock(user);
    uint64_t page =
        exo_run_create_locked(user, pages + (pages == 0), aligned, EXO_RUN_LARGE, clean);
    exo_heap_unlock(user);
    if (page != 0 && user->own != NULL)
        user->own->larges++;
    return page * PAGE_SIZE;
}

static uint32_t large_run(struct exo_heap_user *user, uint64_t offset)
{
    if (offset % PAGE_SIZE != 0 || offset < user->data_at || offset >= user->size)
        return 0;
    return load_acquire(&page_at(user, offset / PAGE_SIZE)->run);
}

uint64_t exo_large_size(struct exo_heap_user *user, uint64_t offset)
{
    uint32_t run = large_run(user, offset);
    uint64_t left = user->size - offset, size = run_pages(run) * PAGE_SIZE;
    return run_kind(run) != EXO_RUN_LARGE ? 0 : size < left ? size : left;
}

int exo_large_free(struct exo_heap_user *user, uint64_t offset)
{
    exo_heap_lock(user);
    uint32_t kind = run_kind(large_run(user, offset));
    if (kind == EXO_RUN_LARGE)
        exo_run_free_locked(user, offset / PAGE_SIZE);
    exo_heap_unlock(user);
    if (kind == EXO_RUN_LARGE)
        return 0;
    return kind == EXO_RUN_CLEAN || kind == EXO_RUN_DIRTY ? -EALREADY : -EFAULT;
}

/* --- alloc ------------------------------------------------------------------------------------- */

static uint64_t small_alloc(struct exo_heap_user *user, uint32_t class_)
{
    struct exo_cache *cache = user->own;
    if (cache == NULL)
        return exo_slab_take(user, class_);
    uint64_t offset = cache_pop(user, cache, class_);
    if (offset != 0) {
        cache->hits++;
        return offset;
    }
    store_release(&cache->list[class_], 0);
    cache_settle(user, cache);
    offset = cache_pop(user, cache, class_);
    if (offset != 0)
        return offset;
    cache->misses++;
    return exo_slab_refill(user, class_) ? cache_pop(user, cache, class_) : 0;
}

uint64_t exo_alloc_slow(struct exo_heap_user *user, uint64_t size)
{
    bool clean;
    user->error = -ENOMEM;
    if (user->flags & DEBUG_FLAGS)
        return exo_guard_alloc(user, size, 16);
    return size <= EXO_SMALL_LIMIT ? small_alloc(user, class_of(size))
                                   : exo_large_alloc(user, size, 0, &clean);
}

int exo_alloc_call(struct exo_heap_user *user, uint64_t size)
{
    user->result = exo_alloc_slow(user, size);
    return user->result != 0 ? 0 : user->error;
}

uint64_t exo_alloc(struct exo_heap_user *user, uint64_t size)
{
    if (size <= EXO_SMALL_LIMIT && user->cache != NULL) {
        uint64_t offset = cache_pop(user, user->cache, class_of(size));
        if (offset != 0)
            return offset;
    }
    return exo_alloc_slow(user, size);
}

uint64_t exo_alloc_zeroed(struct exo_heap_user *user, uint64_t size)
{
    bool clean = false, whole = size > EXO_SMALL_LIMIT && !(user->flags & DEBUG_FLAGS);
    user->error = -ENOMEM;
    uint64_t offset = whole ? exo_large_alloc(user, size, 0, &clean) : exo_alloc(user, size);
    if (offset != 0 && !clean)
        memset(user->base + offset, 0, size);
    return offset;
}

uint64_t exo_alloc_aligned(struct exo_heap_user *user, uint64_t size, uint64_t align)
{
    bool clean;
    if (align <= 16)
        return exo_alloc(user, size);
    user->error = -ENOMEM;
    if (user->flags & DEBUG_FLAGS)
        return exo_guard_alloc(user, size, align);
    uint32_t class_ = exo_class_aligned(size, align);
    if (class_ == 0)
        return exo_large_alloc(user, size, align, &clean);
    uint64_t offset = exo_alloc(user, class_size(class_));
    if (offset % align == 0)
        return offset;
    exo_free(user, offset); /* a larger class's */
    return exo_slab_take(user, class_);
}

/* --- free -------------------------------------------------------------------------------------- */

static int small_free(struct exo_heap_user *user, uint32_t class_, uint64_t offset)
{
    struct exo_cache *cache = user->own;
    if (cache == NULL)
        return exo_slab_put(user, offset);
    cache->frees++;
    if (cache_push(user, cache, class_, offset))
        return 0;
    cache->spills++;
    exo_slab_spill(user, cache, class_, (cache->limit[class_] + 1U) / 2);
    return cache_push(user, cache, class_, offset) ? 0 : exo_slab_put(user, offset);
}

int exo_free_slow(struct exo_heap_user *user, uint64_t offset)
{
    if (offset == 0 || offset >= user->size || offset % 16 != 0)
        return -EFAULT;
    if (user->flags & DEBUG_FLAGS)
        return exo_guard_free(user, offset);
    uint32_t class_ = class_in(user, offset / CHUNK_SIZE);
    return class_ != 0 ? small_free(user, class_, offset) : exo_large_free(user, offset);
}

int exo_free(struct exo_heap_user *user, uint64_t offset)
{
    uint64_t chunk = offset / CHUNK_SIZE;
    if (user->cache != NULL && offset < user->size && offset % 16 == 0) {
        uint32_t class_ = class_in(user, chunk);
        if (class_ != 0 && cache_push(user, user->cache, class_, offset))
            return 0;
    }
    return exo_free_slow(user, offset);
}

/* --- what is there already --------------------------------------------------------------------- */

uint64_t exo_heap_usable(struct exo_heap_user *user, uint64_t offset)
{
    if (offset == 0 || offset >= user->size)
        return 0;
    if (user->flags & DEBUG_FLAGS)
        return exo_guard_usable(user, offset);
    uint32_t class_ = class_in(user, offset / CHUNK_SIZE);
    return class_ != 0 ? class_size(class_) : exo_large_size(user, offset);
}

bool exo_heap_resize(struct exo_heap_user *user, uint64_t offset, uint64_t size)
{
    uint64_t now = exo_heap_usable(user, offset);
    if (user->flags & DEBUG_FLAGS || now == 0 || size > user->size)
        return false;
    if (class_in(user, offset / CHUNK_SIZE) != 0)
        return size <= now && size > now / 2;
    uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
    if (size <= EXO_SMALL_LIMIT)
        return false;
    if (pages == now / PAGE_SIZE)
        return true;
    exo_heap_lock(user);
    bool done = exo_run_resize_locked(user, offset / PAGE_SIZE, pages);
    exo_heap_unlock(user);
    return done;
}
