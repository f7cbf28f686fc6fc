/* Pages of slabs on which no object lies: the host's again, while the rest of the slab is in use.
 *
 * A slab lives as long as one of its objects. From time to time, whoever gives objects back looks
 * through some of the slabs for pages that are free as a whole; for who takes from such a slab, the
 * page is there again, as zeros.
 */
#include <asm/unistd.h>

#include "alloc.h"

#define SWEEP_CYCLES (1UL << 25) /* from one sweep to the next */
#define SWEEP_CHUNKS 1024        /* looked at in one */
#define SWEEP_PAGES 4096         /* given back in one, about */
#define HOST_DONTNEED 4
#define HOST_REMOVE 9

/* Whether the objects from one to before another are all free. */
static bool are_free(const struct exo_slab *slab, uint32_t from, uint32_t end)
{
    for (uint32_t next; from < end; from = next) {
        uint64_t wanted = ~0UL << from % 64;
        next = (from / 64 + 1) * 64;
        if (next > end)
            wanted &= ~0UL >> (next - end);
        if (~slab->bits[from / 64 % EXO_SLAB_WORDS] & wanted)
            return false;
    }
    return true;
}

/* Bit i: no object lies on page i; class_ says the size, as the slab may be anybody's to write. */
static uint32_t free_pages(const struct exo_slab *slab, uint32_t class_)
{
    uint32_t size = (uint32_t)class_size(class_), count = (uint32_t)(CHUNK_SIZE / size), pages = 0;
    for (uint32_t page = 0; page < EXO_CHUNK_PAGES; page++) {
        uint32_t from = page * (uint32_t)PAGE_SIZE / size;
        uint32_t end = (page * (uint32_t)PAGE_SIZE + (uint32_t)PAGE_SIZE - 1) / size + 1;
        if (are_free(slab, from, end < count ? end : count))
            pages |= 1U << page;
    }
    return pages;
}

/* The lowest pages of a set that follow each other. */
static uint32_t first_run(uint32_t pages)
{
    uint32_t lowest = pages & -pages;
    return pages & ~(pages + lowest);
}

uint32_t exo_slab_return(struct exo_heap_user *user, uint32_t chunk, uint32_t class_)
{
    struct exo_slab *slab = slab_at(user, chunk);
    int advice = user->flags & EXO_HEAP_SHARED ? HOST_REMOVE : HOST_DONTNEED;
    uint32_t returned = slab->returned, before = returned, run;
    for (uint32_t left = free_pages(slab, class_) & ~returned; left != 0; left &= ~run) {
        run = first_run(left);
        uint64_t at = chunk * CHUNK_SIZE + (uint64_t)__builtin_ctz(run) * PAGE_SIZE;
        long error =
            exo_host_call(__NR_madvise, (long)(user->base + at),
                          (long)((uint64_t)__builtin_popcount(run) * PAGE_SIZE), advice, 0, 0, 0);
        if (error != 0) /* locked in memory, say */
            break;
        returned |= run;
    }
    store_relaxed(&slab->returned, returned);
    return (uint32_t)__builtin_popcount(returned ^ before);
}

/* Pages of one chunk given back; 0 also where it is no slab, or at work. */
static uint32_t sweep_chunk(struct exo_heap_user *user, uint32_t chunk)
{
    uint32_t class_ = class_in(user, chunk), pages = 0;
    struct exo_slab *slab = slab_at(user, chunk);
    if (class_ == 0 || !exo_slab_try(user, chunk))
        return 0;
    if (class_in(user, chunk) == class_ && slab->free * class_size(class_) >= PAGE_SIZE)
        pages = exo_slab_return(user, chunk, class_);
    exo_slab_unclaim(user, chunk);
    return pages;
}

void exo_heap_sweep(struct exo_heap_user *user)
{
    struct exo_heap *heap = heap_of(user);
    uint64_t now = cycles(), last = load_relaxed(&heap->swept_at);
    if (user->flags & (DEBUG_FLAGS | EXO_HEAP_KEEPS) || now - last < SWEEP_CYCLES ||
        !compare_exchange(&heap->swept_at, &last, now))
        return;
    uint32_t top = load_relaxed(&heap->page_top) / EXO_CHUNK_PAGES, pages = 0;
    uint32_t chunk = load_relaxed(&heap->swept_to);
    top = top < user->chunks ? top : user->chunks - 1;
    uint32_t first = first_chunk(user), count = top < first ? 0 : top - first + 1;
    for (uint32_t i = 0; i < SWEEP_CHUNKS && i < count && pages < SWEEP_PAGES; i++) {
        chunk = chunk >= top || chunk < first ? first : chunk + 1;
        pages += sweep_chunk(user, chunk);
    }
    store_relaxed(&heap->swept_to, chunk);
}
