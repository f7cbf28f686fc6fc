/* The allocator's free pages: runs of a power of two of pages, aligned to it, in lists by size.
 *
 * Clean ones (all zeros) and dirty ones are kept apart: a dirty run does not merge with a clean one
 * until it is purged, but for small ones, of which a bitmap says what is clean in them. The entry of a run's first page is the truth, and each change of the division
 * into runs is one store to it; entries within a run are 0. Lists are made anew from the entries
 * when somebody has died over them.
 */
#include "alloc.h"

#define MIXED_PAGES EXO_CHUNK_PAGES
#define CANDIDATES 16 /* looked at for the one that fits best */

static uint32_t list_of(uint32_t kind)
{
    return kind == EXO_RUN_DIRTY;
}

static uint32_t order_of(uint64_t pages)
{
    return pages == 0 ? 0 : (uint32_t)__builtin_ctzll(pages);
}

static bool in_heap(const struct exo_heap_user *user, uint64_t page, uint64_t pages)
{
    return page != 0 && page < user->pages && pages <= user->pages - page;
}

static uint32_t all_of(uint64_t pages)
{
    return pages <= MIXED_PAGES ? (1U << pages) - 1 : 0;
}

/* Which pages of a listed run are clean. */
static uint32_t zeros_of(const struct exo_page *entry)
{
    uint32_t all = all_of(run_pages(entry->run));
    return run_kind(entry->run) == EXO_RUN_CLEAN ? all : entry->zeros & all;
}

static uint64_t dirty_of(const struct exo_page *entry)
{
    uint32_t clean = (uint32_t)__builtin_popcount(zeros_of(entry));
    return run_kind(entry->run) == EXO_RUN_CLEAN ? 0 : run_pages(entry->run) - clean;
}

void exo_buddy_insert(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind,
                      uint32_t zeros)
{
    struct exo_heap *heap = heap_of(user);
    struct exo_page *entry = page_at(user, page);
    uint32_t list = list_of(kind), order = order_of(pages);
    uint32_t *head = &heap->free[list][order];
    store_release(&entry->run, run_of(kind, pages));
    entry->zeros = zeros;
    entry->prev = 0;
    entry->next = *head;
    if (in_heap(user, *head, 1))
        page_at(user, *head)->prev = (uint32_t)page;
    *head = (uint32_t)page;
    heap->orders[list] |= 1U << order;
    heap->free_pages += pages;
    heap->dirty_pages += dirty_of(entry);
}

void exo_buddy_remove(struct exo_heap_user *user, uint64_t page)
{
    struct exo_heap *heap = heap_of(user);
    struct exo_page *entry = page_at(user, page);
    uint64_t pages = run_pages(entry->run);
    uint32_t list = list_of(run_kind(entry->run)), order = order_of(pages);
    uint32_t *head = &heap->free[list][order];
    if (in_heap(user, entry->next, 1))
        page_at(user, entry->next)->prev = entry->prev;
    if (in_heap(user, entry->prev, 1))
        page_at(user, entry->prev)->next = entry->next;
    else
        *head = entry->next;
    if (*head == 0)
        heap->orders[list] &= ~(1U << order);
    heap->free_pages -= pages;
    heap->dirty_pages -= dirty_of(entry);
    if (heap->dirty_pages < heap->dirty_low)
        heap->dirty_low = (uint32_t)heap->dirty_pages;
}

/* How badly a run serves for so many pages: clean ones used, and dirty ones that stay behind. */
static uint32_t misfit(const struct exo_page *entry, uint64_t pages)
{
    uint32_t used = all_of(pages), rest = all_of(run_pages(entry->run)) & ~used;
    uint32_t zeros = zeros_of(entry);
    return (uint32_t)(__builtin_popcount(zeros & used) + __builtin_popcount(~zeros & rest));
}

/* Of the first runs of a list of dirty ones, the one that serves best: objects of three pages, say,
 * would else leave a dirty page behind wherever one of four has been. */
static uint64_t best_of(struct exo_heap_user *user, uint64_t first, uint64_t pages)
{
    uint64_t best = first, page = first;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < CANDIDATES && least != 0 && in_heap(user, page, 1); i++) {
        const struct exo_page *entry = page_at(user, page);
        if (run_kind(entry->run) != EXO_RUN_DIRTY || run_pages(entry->run) > MIXED_PAGES)
            break;
        uint32_t bad = misfit(entry, pages);
        best = bad < least ? page : best;
        least = bad < least ? bad : least;
        page = entry->next;
    }
    return best;
}

uint64_t exo_buddy_find(struct exo_heap_user *user, uint32_t order, uint32_t kind, uint64_t pages)
{
    struct exo_heap *heap = heap_of(user);
    uint32_t orders = heap->orders[list_of(kind)] >> order << order;
    if (order > EXO_HEAP_ORDERS || orders == 0)
        return 0;
    uint64_t page = heap->free[list_of(kind)][__builtin_ctz(orders)];
    if (!in_heap(user, page, 1) || run_kind(page_at(user, page)->run) != kind)
        return 0;
    if (kind == EXO_RUN_DIRTY && pages < MIXED_PAGES)
        page = best_of(user, page, pages);
    if (run_pages(page_at(user, page)->run) >> order == 0)
        return 0;
    exo_buddy_remove(user, page);
    return page;
}

/* Clean pages become part of small dirty runs: the pieces that are cut off what is allocated, or they
 * would keep what is freed beside them from being allocated again. */
static uint32_t mergeable(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind)
{
    uint32_t run = page_at(user, page)->run;
    if (run == run_of(kind, pages))
        return kind;
    bool is_free = run == run_of(EXO_RUN_CLEAN, pages) || run == run_of(EXO_RUN_DIRTY, pages);
    return is_free && pages < MIXED_PAGES ? EXO_RUN_DIRTY : EXO_RUN_NONE;
}

/* The clean pages of two runs of so many pages each. */
static uint32_t joined(uint32_t lower, uint32_t upper, uint64_t pages)
{
    return pages < MIXED_PAGES ? lower | upper << pages : 0;
}

/* Merges a run with its neighbours, as long as they are free and of its kind, and lists it. */
static void merge(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind,
                  uint32_t zeros)
{
    if (zeros != 0 && zeros == all_of(pages))
        kind = EXO_RUN_CLEAN;
    for (; pages < 1UL << EXO_HEAP_ORDERS; pages *= 2) {
        uint64_t buddy = page ^ pages;
        uint32_t both = in_heap(user, buddy, pages) ? mergeable(user, buddy, pages, kind) : 0;
        if (both == EXO_RUN_NONE)
            break;
        exo_buddy_remove(user, buddy);
        kind = both;
        uint32_t its = zeros_of(page_at(user, buddy));
        zeros = page < buddy ? joined(zeros, its, pages) : joined(its, zeros, pages);
        uint64_t upper = page > buddy ? page : buddy;
        page = page < buddy ? page : buddy;
        store_release(&page_at(user, page)->run, run_of(kind, pages * 2));
        store_release(&page_at(user, upper)->run, 0);
    }
    exo_buddy_insert(user, page, pages, kind, zeros & all_of(pages));
}

/* The largest run that may begin at a page and end before another. */
static uint64_t piece_at(uint64_t page, uint64_t end)
{
    uint64_t aligned = page & -page, fits = 1UL << (63 - __builtin_clzll(end - page));
    return aligned < fits ? aligned : fits;
}

void exo_buddy_add(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind,
                   uint32_t zeros)
{
    uint64_t end = page + pages, first = pages == 0 ? 0 : piece_at(page, end);
    if (pages == 0)
        return;
    for (uint64_t at = page + first; at < end; at += piece_at(at, end))
        store_release(&page_at(user, at)->run, run_of(kind | EXO_RUN_LOOSE, piece_at(at, end)));
    store_release(&page_at(user, page)->run, run_of(kind | EXO_RUN_LOOSE, first));
    for (uint64_t at = page, size; at < end; at += size) {
        size = piece_at(at, end);
        uint32_t its = pages <= MIXED_PAGES ? zeros >> (at - page) & all_of(size) : 0;
        merge(user, at, size, kind, kind == EXO_RUN_CLEAN ? all_of(size) : its);
    }
}

/* Entries that a cut-short change has left within a free run. */
static void clear_within(struct exo_heap_user *user, uint64_t page, uint64_t pages)
{
    uint64_t top = heap_of(user)->page_top, end = page + pages, at = page + 1;
    for (; at < end && at < top; at++)
        page_at(user, at)->run = 0;
    for (; at < end; at += at & -at)
        page_at(user, at)->run = 0;
}

static bool is_free(uint32_t kind)
{
    kind &= ~(uint32_t)EXO_RUN_LOOSE;
    return kind == EXO_RUN_CLEAN || kind == EXO_RUN_DIRTY;
}

/* The run that begins at a page, 0 if what stands there makes no sense. */
static uint32_t checked_run(struct exo_heap_user *user, uint64_t page)
{
    uint32_t run = page_at(user, page)->run, kind = run_kind(run);
    bool known = is_free(kind) || kind == EXO_RUN_LARGE || kind == EXO_RUN_SLAB;
    return known && run_pages(run) != 0 && in_heap(user, page, run_pages(run)) ? run : 0;
}

/* A slab that is none yet, or none any more: whoever made or ended it has died over that. */
static bool is_half_slab(struct exo_heap_user *user, uint64_t page, uint32_t run)
{
    return run_kind(run) == EXO_RUN_SLAB && class_in(user, page / EXO_CHUNK_PAGES) == 0;
}

static void count_run(struct exo_heap_user *user, uint64_t page, uint32_t run)
{
    struct exo_heap *heap = heap_of(user);
    if (run_kind(run) == EXO_RUN_LARGE)
        heap->large_pages += run_pages(run);
    if (run_kind(run) != EXO_RUN_SLAB)
        return;
    uint32_t chunk = (uint32_t)(page / EXO_CHUNK_PAGES), class_ = class_in(user, chunk);
    heap->slab_count++;
    heap->slabs_of[class_]++;
    if (slab_at(user, chunk)->free != 0)
        exo_partial_set(user, class_, chunk);
}

/* First all free runs are made loose, so that none merges with one that is in no list yet. */
void exo_buddy_rebuild(struct exo_heap_user *user)
{
    struct exo_heap *heap = heap_of(user);
    uint64_t first = user->data_at / PAGE_SIZE, page = first, end;
    memset(heap->free, 0, sizeof(heap->free));
    heap->orders[0] = heap->orders[1] = 0;
    heap->free_pages = heap->dirty_pages = heap->large_pages = heap->slab_count = 0;
    heap->dirty_low = 0;
    memset(heap->slabs_of, 0, sizeof(heap->slabs_of));
    for (uint32_t run; page < user->pages && (run = checked_run(user, page)) != 0;
         page += run_pages(run)) {
        if (is_half_slab(user, page, run))
            run = run_of(EXO_RUN_DIRTY, run_pages(run));
        count_run(user, page, run);
        if (!is_free(run_kind(run)))
            continue;
        clear_within(user, page, run_pages(run));
        page_at(user, page)->run = run_of(run_kind(run) | EXO_RUN_LOOSE, run_pages(run));
    }
    for (end = page, page = first; page < end;) {
        uint32_t run = page_at(user, page)->run;
        page += run_pages(run);
        if (is_free(run_kind(run)))
            exo_buddy_add(user, page - run_pages(run), run_pages(run),
                          run_kind(run) & ~(uint32_t)EXO_RUN_LOOSE, 0);
    }
}
