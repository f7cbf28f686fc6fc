/* The allocator's third level: runs of pages, under the heap's lock, and the host's memory behind
 * them, which goes back when much of it is free.
 */
#include <asm/unistd.h>

#include "alloc.h"

#define DIRTY_SHARE 256
#define DIRTY_MOST ((64UL << 20) / PAGE_SIZE)
#define DIRTY_BURST ((32UL << 20) / PAGE_SIZE) /* beyond what may stay: goes at once */
#define PURGE_CYCLES (1UL << 22)
#define PURGE_OFTEN ((64UL << 20) / PAGE_SIZE) /* heaps of half as much: half as often */
#define HOST_DONTNEED 4
#define HOST_REMOVE 9
#define MANY UINT32_MAX

void exo_heap_lock(struct exo_heap_user *user)
{
    struct exo_heap *heap = heap_of(user);
    exo_lock_acquire(&heap->lock);
    if (heap->lock.generation == heap->generation)
        return;
    exo_buddy_rebuild(user);
    heap->generation = heap->lock.generation;
}

void exo_heap_unlock(struct exo_heap_user *user)
{
    exo_lock_release(&heap_of(user)->lock);
}

static uint32_t order_for(uint64_t pages)
{
    return pages <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(pages - 1);
}

static uint64_t find(struct exo_heap_user *user, uint32_t order, uint64_t pages)
{
    uint64_t page = exo_buddy_find(user, order, EXO_RUN_DIRTY, pages);
    if (page == 0)
        page = exo_buddy_find(user, order, EXO_RUN_CLEAN, pages);
    if (page != 0 || heap_of(user)->dirty_pages == 0)
        return page;
    exo_run_purge_locked(user, 0); /* clean, it merges with what is clean */
    return exo_buddy_find(user, order, EXO_RUN_CLEAN, pages);
}

static void note_use(struct exo_heap *heap, uint64_t end)
{
    if (end > heap->page_top)
        store_relaxed(&heap->page_top, (uint32_t)end); /* read without the lock */
}

/* Splits what is behind the first pages of a run off, then makes these a run of kind. */
static void split(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind)
{
    uint32_t old = page_at(user, page)->run;
    uint64_t rest = run_pages(old) - pages;
    uint32_t zeros = run_pages(old) <= EXO_CHUNK_PAGES ? page_at(user, page)->zeros >> pages : 0;
    note_use(heap_of(user), page + pages);
    if (rest != 0)
        page_at(user, page + pages)->run = run_of(run_kind(old), rest);
    store_release(&page_at(user, page)->run, run_of(kind, pages));
    exo_buddy_add(user, page + pages, rest, run_kind(old), zeros);
}

uint64_t exo_run_create_locked(struct exo_heap_user *user, uint64_t pages, uint64_t align,
                               uint32_t kind, bool *clean)
{
    if (pages > 1UL << EXO_HEAP_ORDERS || align > 1UL << EXO_HEAP_ORDERS)
        return 0;
    uint64_t page = find(user, order_for(pages > align ? pages : align), pages);
    if (page == 0)
        return 0;
    *clean = run_kind(page_at(user, page)->run) == EXO_RUN_CLEAN;
    split(user, page, pages, kind);
    if (kind == EXO_RUN_LARGE)
        heap_of(user)->large_pages += pages;
    return page;
}

static uint64_t used_pages(const struct exo_heap *heap)
{
    return heap->large_pages + heap->slab_count * EXO_CHUNK_PAGES;
}

/* How many pages may stay dirty: a part of what is in use, and as many as are freed and allocated
 * again at once. */
static uint64_t dirty_limit(struct exo_heap *heap, uint64_t freed)
{
    uint64_t used = used_pages(heap) / DIRTY_SHARE;
    uint64_t again = freed > DIRTY_MOST / 2 ? DIRTY_MOST : freed * 2;
    if (heap->dirty_limit < again)
        heap->dirty_limit = (uint32_t)again;
    return used > heap->dirty_limit ? used : heap->dirty_limit;
}

/* Cycles from one purge to the next: what a small heap holds is little, too. */
static uint64_t purge_pause(const struct exo_heap *heap)
{
    uint64_t times = PURGE_OFTEN / (used_pages(heap) + 1);
    return PURGE_CYCLES * (times < 1 ? 1 : times > 8 ? 8 : times);
}

/* Each run that goes back interrupts the CPUs of all threads: seldom, but for a lot. What was in use
 * since the last time is likely to be again. */
static void purge_at_times(struct exo_heap_user *user, uint64_t limit)
{
    struct exo_heap *heap = heap_of(user);
    uint64_t now = cycles();
    if (heap->dirty_pages <= limit + DIRTY_BURST && now - heap->purged_at < purge_pause(heap))
        return;
    uint64_t used = heap->dirty_pages - heap->dirty_low, keep = limit / 2;
    exo_run_purge_locked(user, used > keep && used <= DIRTY_BURST ? used : keep);
    heap->dirty_low = (uint32_t)heap->dirty_pages;
    heap->purged_at = now;
}

void exo_run_free_locked(struct exo_heap_user *user, uint64_t page)
{
    struct exo_heap *heap = heap_of(user);
    uint32_t run = page_at(user, page)->run;
    uint64_t pages = run_pages(run), limit = dirty_limit(heap, pages);
    if (run_kind(run) == EXO_RUN_LARGE)
        heap->large_pages -= pages;
    store_release(&page_at(user, page)->run, run_of(EXO_RUN_DIRTY | EXO_RUN_LOOSE, pages));
    exo_buddy_add(user, page, pages, EXO_RUN_DIRTY, 0);
    if (heap->dirty_pages > limit && !(user->flags & EXO_HEAP_KEEPS))
        purge_at_times(user, limit);
}

static void shrink(struct exo_heap_user *user, uint64_t page, uint64_t pages)
{
    uint64_t rest = run_pages(page_at(user, page)->run) - pages;
    page_at(user, page + pages)->run = run_of(EXO_RUN_DIRTY, rest);
    store_release(&page_at(user, page)->run, run_of(EXO_RUN_LARGE, pages));
    exo_buddy_add(user, page + pages, rest, EXO_RUN_DIRTY, 0);
    heap_of(user)->large_pages -= rest;
}

/* Takes free runs behind a large one, one after the other. */
static bool grow(struct exo_heap_user *user, uint64_t page, uint64_t pages)
{
    uint64_t have = run_pages(page_at(user, page)->run), end = page + have;
    while (end < page + pages) {
        if (end >= user->pages)
            return false;
        uint32_t run = page_at(user, end)->run, kind = run_kind(run);
        if (kind != EXO_RUN_CLEAN && kind != EXO_RUN_DIRTY)
            return false;
        end += run_pages(run);
    }
    for (end = page + have; end < page + pages;) {
        struct exo_page *next = page_at(user, end);
        uint64_t more = run_pages(next->run), wanted = page + pages - end;
        exo_buddy_remove(user, end);
        if (more > wanted)
            split(user, end, wanted, run_kind(next->run) | EXO_RUN_LOOSE);
        end += more > wanted ? wanted : more;
        note_use(heap_of(user), end);
        store_release(&page_at(user, page)->run, run_of(EXO_RUN_LARGE, end - page));
        store_release(&next->run, 0);
    }
    heap_of(user)->large_pages += pages - have;
    return true;
}

bool exo_run_resize_locked(struct exo_heap_user *user, uint64_t page, uint64_t pages)
{
    uint64_t have = run_pages(page_at(user, page)->run);
    if (pages < have)
        shrink(user, page, pages);
    return pages <= have || grow(user, page, pages);
}

/* Single pages first, which few objects fit into, then the largest: fewer calls for more memory. */
void exo_run_purge_locked(struct exo_heap_user *user, uint64_t keep_pages)
{
    struct exo_heap *heap = heap_of(user);
    int advice = user->flags & EXO_HEAP_SHARED ? HOST_REMOVE : HOST_DONTNEED;
    while (heap->dirty_pages > keep_pages && heap->orders[1] != 0) {
        uint32_t orders = heap->orders[1],
                 order = orders & 1 ? 0 : 31 - (uint32_t)__builtin_clz(orders);
        uint64_t page = exo_buddy_find(user, order, EXO_RUN_DIRTY, MANY);
        if (page == 0)
            return;
        uint64_t pages = run_pages(page_at(user, page)->run);
        long error = exo_host_call(__NR_madvise, (long)(user->base + page * PAGE_SIZE),
                                   (long)(pages * PAGE_SIZE), advice, 0, 0, 0);
        if (error != 0) { /* locked in memory, say */
            exo_buddy_insert(user, page, pages, EXO_RUN_DIRTY, 0);
            return;
        }
        heap->purged_pages += pages;
        exo_buddy_add(user, page, pages, EXO_RUN_CLEAN, 0);
    }
}
