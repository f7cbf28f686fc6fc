/* What the files of the allocator share. exo/alloc.h has the protocol.
 *
 * Lock order: the heap's lock, then a slab's claim; who has a claim never takes the lock, and none
 * has two claims. What is read from a shared heap may be anything: each offset and index is looked
 * at before it is used.
 */
#ifndef EXO_CORE_ALLOC_H
#define EXO_CORE_ALLOC_H

#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>
#include <asm/unistd.h>

#include <exo/alloc.h>
#include <exo/core.h>

#include "atomic.h"
#include "mem.h"

#define PAGE_SIZE 4096UL
#define CHUNK_SIZE (1UL << EXO_CHUNK_SHIFT)
#define DEBUG_FLAGS (EXO_HEAP_GUARD | EXO_HEAP_POISON)

static inline struct exo_heap *heap_of(const struct exo_heap_user *user)
{
    return (struct exo_heap *)user->base;
}

static inline struct exo_free_object *object_at(const struct exo_heap_user *user, uint64_t offset)
{
    return (struct exo_free_object *)(user->base + offset);
}

static inline struct exo_slab *slab_at(const struct exo_heap_user *user, uint32_t chunk)
{
    return (struct exo_slab *)(user->base + user->slabs_at) + chunk;
}

static inline struct exo_page *page_at(const struct exo_heap_user *user, uint64_t page)
{
    return (struct exo_page *)(user->base + user->pages_at) + page;
}

static inline struct exo_cache *cache_at(const struct exo_heap_user *user, uint32_t owner)
{
    return (struct exo_cache *)(user->base + user->caches_at) + owner;
}

/* The first chunk that is not the heap's own. */
static inline uint32_t first_chunk(const struct exo_heap_user *user)
{
    return (uint32_t)(user->data_at / CHUNK_SIZE);
}

static inline uint8_t *class_at(const struct exo_heap_user *user, uint64_t chunk)
{
    return (uint8_t *)user->base + EXO_HEAP_CLASSES_AT + chunk;
}

static inline uint32_t class_of(uint64_t size)
{
    if (size <= 128)
        return size == 0 ? 1 : (uint32_t)(size + 15) / 16;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(size - 1);
    return 8 * (top - 7) + (uint32_t)((size - 1) >> (top - 3)) + 1;
}

static inline uint64_t class_size(uint32_t class_)
{
    if (class_ <= 8)
        return class_ * 16;
    return (9UL + (class_ - 9) % 8) << (4 + (class_ - 9) / 8);
}

/* Whether a chunk index taken from an offset has a slab of a class, which is returned; else 0. */
static inline uint32_t class_in(const struct exo_heap_user *user, uint64_t chunk)
{
    if (chunk >= user->chunks)
        return 0;
    uint32_t class_ = load_relaxed(class_at(user, chunk));
    return class_ < EXO_CLASS_COUNT ? class_ : 0;
}

/* Whether objects of one class may be in lists of another, which is none larger: where it had no
 * slab with free objects, it has taken them from there. */
static inline bool class_serves(uint32_t class_, uint32_t list)
{
    return class_ == list ||
           (class_ > list && class_ < EXO_CLASS_COUNT && class_size(class_) < 2 * class_size(list));
}

/* Which object of its slab an offset lies in. */
static inline uint32_t index_in(const struct exo_slab *slab, uint64_t offset)
{
    return (uint32_t)((offset % CHUNK_SIZE) * slab->reciprocal >> 32) % (EXO_SLAB_WORDS * 64);
}

static inline uint32_t run_of(uint32_t kind, uint64_t pages)
{
    return kind << EXO_RUN_KIND_SHIFT | (uint32_t)pages;
}

static inline uint32_t run_kind(uint32_t run)
{
    return run >> EXO_RUN_KIND_SHIFT;
}

static inline uint64_t run_pages(uint32_t run)
{
    return run & EXO_RUN_PAGES;
}

#if defined(__x86_64__)
static inline uint64_t cycles(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static inline uint64_t cycles(void)
{
    uint64_t now[2] = {0, 0};
    exo_host_call(__NR_clock_gettime, 1, (long)now, 0, 0, 0, 0);
    return now[0] * 1000000000 + now[1];
}
#endif

/* The way that most calls go: one object off, or onto, a list; 0 and false where it is longer. What
 * an object names as the next one may have been overwritten: it is not followed out of the heap. */
static inline uint64_t cache_pop(const struct exo_heap_user *user, struct exo_cache *cache,
                                 uint32_t class_)
{
    uint64_t offset = cache->list[class_];
    if (__builtin_expect(offset == 0 || offset >= user->size, 0))
        return 0;
    store_release(&cache->list[class_], object_at(user, offset)->next);
    return offset;
}

static inline bool cache_push(const struct exo_heap_user *user, struct exo_cache *cache,
                              uint32_t class_, uint64_t offset)
{
    uint64_t head = cache->list[class_];
    if (__builtin_expect(head >= user->size, 0))
        return false;
    uint32_t depth = object_at(user, head)->depth;
    if (__builtin_expect(depth >= cache->limit[class_], 0))
        return false;
    object_at(user, offset)->next = head;
    object_at(user, offset)->depth = depth + 1;
    store_release(&cache->list[class_], offset);
    return true;
}

/* Puts what jitted code has kept beside the lists into one. Killed in between, it is in both. */
static inline void cache_settle(const struct exo_heap_user *user, struct exo_cache *cache)
{
    uint32_t class_ = load_relaxed(&cache->back_class) % EXO_CLASS_ROOM;
    uint64_t last = cache->last, head = cache->list[class_];
    if (class_ == 0)
        return;
    if (last != head && last != 0 && last < user->size && head < user->size &&
        class_serves(class_in(user, last / CHUNK_SIZE), class_)) {
        object_at(user, last)->next = head;
        object_at(user, last)->depth = object_at(user, head)->depth + 1;
        store_release(&cache->list[class_], last);
    }
    store_release(&cache->back_class, 0);
}

/* allocslab.c */
/* Waits for it, and repairs what a dead owner has left; without the heap's lock. */
void exo_slab_claim(struct exo_heap_user *user, uint32_t chunk);
bool exo_slab_try(struct exo_heap_user *user, uint32_t chunk);
void exo_slab_unclaim(struct exo_heap_user *user, uint32_t chunk);
/* Fills the empty list of a class; false: no memory. */
bool exo_slab_refill(struct exo_heap_user *user, uint32_t class_);
/* Takes one object of the class itself without a list; its offset or 0. */
uint64_t exo_slab_take(struct exo_heap_user *user, uint32_t class_);
/* Gives count objects at the head of a list back. */
void exo_slab_spill(struct exo_heap_user *user, struct exo_cache *cache, uint32_t class_,
                    uint32_t count);
/* Gives an empty slab's pages back. */
void exo_slab_retire(struct exo_heap_user *user, uint32_t chunk);
/* Gives one back. -EFAULT, -EALREADY. */
int exo_slab_put(struct exo_heap_user *user, uint64_t offset);
/* For who has the claim: sets an object's bit; false: it was set. */
bool exo_slab_set(struct exo_heap_user *user, struct exo_slab *slab, uint32_t chunk,
                  uint32_t index);

/* allocpartial.c: which chunks of a class have free objects. */
void exo_partial_set(struct exo_heap_user *user, uint32_t class_, uint32_t chunk);
void exo_partial_clear(struct exo_heap_user *user, uint32_t class_, uint32_t chunk);
/* The first one from a chunk on, 0: none. */
uint32_t exo_partial_find(struct exo_heap_user *user, uint32_t class_, uint32_t from);

/* allocsweep.c */
/* For who has the claim of a class's slab: gives the pages without objects back; how many. */
uint32_t exo_slab_return(struct exo_heap_user *user, uint32_t chunk, uint32_t class_);
/* The same for slabs that nobody works on, if it is time. */
void exo_heap_sweep(struct exo_heap_user *user);

/* allocpages.c: all with the heap's lock. A run of pages, its first page, 0: none. */
void exo_heap_lock(struct exo_heap_user *user);
void exo_heap_unlock(struct exo_heap_user *user);
uint64_t exo_run_create_locked(struct exo_heap_user *user, uint64_t pages, uint64_t align,
                               uint32_t kind, bool *clean);
void exo_run_free_locked(struct exo_heap_user *user, uint64_t page);
bool exo_run_resize_locked(struct exo_heap_user *user, uint64_t page, uint64_t pages);
void exo_run_purge_locked(struct exo_heap_user *user, uint64_t keep_pages);

/* allocbuddy.c: free runs of a power of two of pages, in lists, with the heap's lock. */
void exo_buddy_insert(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind,
                      uint32_t zeros);
void exo_buddy_remove(struct exo_heap_user *user, uint64_t page);
/* Smallest that fits, out of its list, for so many of its pages to be used; 0: none. */
uint64_t exo_buddy_find(struct exo_heap_user *user, uint32_t order, uint32_t kind, uint64_t pages);
/* Makes the free run that begins at page, of any number of pages, one of the lists; zeros, of up to 16
 * pages: those that are clean though the run is dirty. */
void exo_buddy_add(struct exo_heap_user *user, uint64_t page, uint64_t pages, uint32_t kind,
                   uint32_t zeros);
/* Makes all lists anew from the pages' entries. */
void exo_buddy_rebuild(struct exo_heap_user *user);

/* alloccache.c */
uint64_t exo_large_alloc(struct exo_heap_user *user, uint64_t size, uint64_t align, bool *clean);
int exo_large_free(struct exo_heap_user *user, uint64_t offset);
uint64_t exo_large_size(struct exo_heap_user *user, uint64_t offset); /* 0: none begins there */
uint32_t exo_class_aligned(uint64_t size, uint64_t align);            /* 0: none */

/* allocguard.c */
uint64_t exo_guard_alloc(struct exo_heap_user *user, uint64_t size, uint64_t align);
int exo_guard_free(struct exo_heap_user *user, uint64_t offset);
uint64_t exo_guard_usable(struct exo_heap_user *user, uint64_t offset);

#endif
