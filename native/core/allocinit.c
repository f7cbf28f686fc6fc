/* A heap's layout: what it needs itself stands in front, the rest is one run of free pages. */
#include "alloc.h"

_Static_assert(sizeof(struct exo_heap) <= EXO_HEAP_CLASSES_AT, "the header has a page");
_Static_assert(offsetof(struct exo_heap, zero) == offsetof(struct exo_free_object, depth),
               "the end of a list is of depth 0");
_Static_assert(sizeof(struct exo_cache) % 64 == 0 && sizeof(struct exo_slab) % 64 == 0, "lines");

#define CACHED_BYTES 16384
#define CACHED_MOST 256

static uint64_t take(uint64_t *at, uint64_t size, uint64_t align)
{
    uint64_t here = (*at + align - 1) / align * align;
    *at = here + size;
    return here;
}

/* Small parts first: a small heap touches few pages of each. */
static void lay_out(struct exo_heap_user *user, uint64_t size, uint32_t owners)
{
    uint64_t words, at = EXO_HEAP_CLASSES_AT;
    user->size = size;
    user->chunks = (uint32_t)(size / CHUNK_SIZE);
    user->pages = user->chunks * EXO_CHUNK_PAGES;
    user->owner_limit = owners;
    words = (user->chunks + 63) / 64 + (user->chunks + 4095) / 4096;
    take(&at, user->chunks, 1);
    user->current_at = take(&at, sizeof(uint32_t) * EXO_HEAP_CPUS * EXO_CLASS_ROOM, 64);
    user->caches_at = take(&at, sizeof(struct exo_cache) * owners, 64);
    user->partial_at = take(&at, words * sizeof(uint64_t) * EXO_CLASS_ROOM, 64);
    user->slabs_at = take(&at, sizeof(struct exo_slab) * user->chunks, 64);
    user->pages_at = take(&at, sizeof(struct exo_page) * user->pages, 64);
    user->data_at = (at + CHUNK_SIZE - 1) / CHUNK_SIZE * CHUNK_SIZE;
}

int exo_heap_init(struct exo_heap *heap, uint64_t size, uint32_t owners, uint32_t flags)
{
    struct exo_heap_user user = {.base = (char *)heap, .flags = flags};
    size = size / CHUNK_SIZE * CHUNK_SIZE;
    if (size < EXO_HEAP_SIZE_MIN || size > EXO_HEAP_SIZE_MAX || heap->magic != 0 || owners > 65535)
        return -EINVAL;
    lay_out(&user, size, owners);
    if (user.data_at >= size)
        return -EINVAL;
    heap->size = size;
    heap->flags = flags;
    heap->owner_limit = owners;
    heap->pages = user.pages;
    heap->chunks = user.chunks;
    heap->first_page = heap->page_top = (uint32_t)(user.data_at / PAGE_SIZE);
    heap->owner_top = 1;
    heap->dirty_limit = (256UL << 10) / PAGE_SIZE;
    exo_buddy_add(&user, heap->first_page, user.pages - heap->first_page, EXO_RUN_CLEAN, 0);
    store_release(&heap->magic, EXO_HEAP_MAGIC);
    return 0;
}

static void cache_init(struct exo_cache *cache, uint32_t flags)
{
    for (uint32_t class_ = 1; class_ < EXO_CLASS_COUNT; class_++) {
        uint64_t fits = CACHED_BYTES / class_size(class_);
        fits = fits > CACHED_MOST ? CACHED_MOST : fits;
        cache->limit[class_] = flags & DEBUG_FLAGS ? 0 : (uint16_t)fits;
    }
}

static void note_owner(struct exo_heap *heap, uint32_t owner)
{
    uint32_t top = load_relaxed(&heap->owner_top);
    while (top <= owner && !compare_exchange(&heap->owner_top, &top, owner + 1))
        ;
}

int exo_heap_attach(struct exo_heap_user *user, struct exo_heap *heap, uint64_t mapped,
                    uint32_t owner)
{
    uint64_t size = load_acquire(&heap->size);
    uint32_t owners = load_relaxed(&heap->owner_limit);
    if (load_acquire(&heap->magic) != EXO_HEAP_MAGIC || size > mapped || size % CHUNK_SIZE != 0 ||
        size > EXO_HEAP_SIZE_MAX || owner >= (owners != 0 ? owners : 1) || owners > 65535)
        return -EINVAL;
    memset(user, 0, sizeof(*user));
    user->base = (char *)heap;
    user->owner = owner;
    user->flags = load_relaxed(&heap->flags);
    lay_out(user, size, owners);
    if (user->data_at >= size)
        return -EINVAL;
    if (owner == 0)
        return 0;
    user->cache = user->own = cache_at(user, owner);
    store_release(&user->own->alive, 1); /* or repair would take the cache for a dead one's */
    cache_init(user->own, user->flags);
    note_owner(heap, owner);
    return 0;
}

void exo_heap_own_words(struct exo_heap *heap)
{
    struct exo_heap_user user = {.base = (char *)heap};
    lay_out(&user, heap->size, heap->owner_limit);
    exo_owners_set(&heap->owners, &cache_at(&user, 0)->alive, sizeof(struct exo_cache),
                   heap->owner_limit);
}

int exo_heap_bury(struct exo_heap *heap, uint64_t mapped, uint32_t owner)
{
    struct exo_heap_user user;
    int error = exo_heap_attach(&user, heap, mapped, 0);
    if (error != 0 || owner == 0 || owner >= user.owner_limit)
        return -EINVAL;
    store_release(&cache_at(&user, owner)->alive, 0);
    return 0;
}

void exo_heap_detach(struct exo_heap_user *user)
{
    for (uint32_t class_ = 1; user->own != NULL && class_ < EXO_CLASS_COUNT; class_++)
        exo_slab_spill(user, user->own, class_, UINT32_MAX);
    user->cache = user->own = NULL;
    user->owner = 0;
}
