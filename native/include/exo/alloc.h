/* The three-level allocator: a heap in any memory, a process's own or shared, named by offsets.
 *
 * Level 1: each owner's cache, a list of free objects per size class, used by nobody else and so
 * without atomics. Level 2: slabs of 64 KiB for one class each, whose free objects are bits; a slab
 * is worked on under its claim, one compare-exchange for many objects, and belongs to the CPU that
 * takes from it. Level 3: runs of pages from a buddy system under a robust lock.
 *
 * An object moves between a cache's list and a slab's bits only under the slab's claim, and while
 * that is held it may be in both. So a kill at any instruction loses nothing: exo_heap_repair()
 * sets the bits of all that a dead owner's lists hold, once more if need be, and then ends its
 * claim. What the dead had allocated, or was just being given, is its own affair.
 *
 * The same algorithm for jitted Python is exo_um/mm/alloc_jit.py, on the same memory.
 */
#ifndef EXO_ALLOC_H
#define EXO_ALLOC_H

#include <exo/abi.h>
#include <exo/ring.h>

#define EXO_HEAP_MAGIC 0x31504145484f5845 /* "EXOHEAP1" */
#define EXO_HEAP_PAGE_SHIFT 12
#define EXO_CHUNK_SHIFT 16
#define EXO_CHUNK_PAGES 16
#define EXO_SLAB_WORDS 64 /* of 64 bits, one per object of 16 bytes */
#define EXO_HEAP_SIZE_MIN (1UL << 20)
#define EXO_HEAP_SIZE_MAX (1UL << 39)
#define EXO_HEAP_CLASSES_AT                                                                        \
    4096 /* bytes from the heap: the class of each chunk's slab, 0 for none */

/* Classes: steps of 16 bytes up to 128, then eight to each doubling. Larger ones are runs of pages. */
#define EXO_CLASS_COUNT 57
#define EXO_CLASS_ROOM 64
#define EXO_BORROW_COUNT 56 /* the first class shares its with the last */
#define EXO_SMALL_LIMIT 8192
#define EXO_HEAP_ORDERS 28
#define EXO_HEAP_CPUS 64 /* more share */

/* Flags of a heap. Guard and poison are for tests: nothing is cached then. */
#define EXO_HEAP_SHARED 1 /* the memory is shared: pages go back by MADV_REMOVE */
#define EXO_HEAP_GUARD 2  /* bytes behind an object tell of an overrun; double and wild frees */
#define EXO_HEAP_POISON 4 /* free objects are filled, and looked at when allocated again */
#define EXO_HEAP_KEEPS 8  /* no pages go back to the host but by exo_heap_trim() */

/* A free object in a cache's list. At offset 0 of a heap there is none: the list's end. */
struct exo_free_object {
    uint64_t next;  /* offset, 0: none */
    uint32_t depth; /* objects in the list from here on */
    uint32_t reserved;
};

/* One owner's cache: number 1 and up. Written by the owner alone, or by who repairs after it. */
struct exo_cache {
    uint32_t alive;         /* for struct exo_owners where owners have no words elsewhere */
    uint32_t claimed;       /* the chunk whose slab is claimed, or about to be, or was last */
    uint64_t hits, misses;  /* allocations; hits are counted only while somebody wants to know */
    uint64_t fresh;         /* misses that needed a new slab */
    uint64_t frees, spills; /* spills: frees for which the list was too long */
    uint64_t larges;        /* allocations from the third level at once */
    /* Jitted code, which is without calls, keeps the object that it has allocated last beside the
     * lists, whose words would be a chain of stores and loads. */
    uint64_t last;       /* offset */
    uint32_t last_class; /* of it */
    uint32_t back_class; /* the same when it is free, else 0 */
    uint8_t
        borrows[EXO_BORROW_COUNT];  /* by class: refills since its own slabs last had something */
    uint16_t limit[EXO_CLASS_ROOM]; /* the longest list; 0: nothing is cached */
    uint64_t list[EXO_CLASS_ROOM];  /* offset of the first object */
};

/* A chunk's slab. All but the claim is written by who has the claim. */
struct exo_slab {
    uint32_t claim; /* owner + 1, 0: nobody */
    uint32_t cpu;   /* CPU + 1 that takes from it, 0: none */
    uint32_t class_;
    uint32_t count;      /* objects */
    uint32_t free;       /* of them in bits[] */
    uint32_t size;       /* bytes of an object */
    uint32_t reciprocal; /* of size, 32 bits behind the point, rounded up */
    uint32_t returned;   /* bit i: the host backs page i no longer, or not yet */
    uint64_t nonzero;    /* bit i: bits[i] is not 0 */
    uint64_t reserved_1[3];
    uint64_t bits[EXO_SLAB_WORDS]; /* object i is free */
};

/* What a page's entry says of the run of pages that begins there; 0 within a run. */
#define EXO_RUN_KIND_SHIFT 28
#define EXO_RUN_PAGES 0x0fffffff
#define EXO_RUN_NONE 0
#define EXO_RUN_CLEAN 1 /* free, and all zeros; a power of two of pages, aligned to it */
#define EXO_RUN_DIRTY 2 /* free, with the host's memory behind it; the same */
#define EXO_RUN_LARGE 3 /* an object */
#define EXO_RUN_SLAB 4
#define EXO_RUN_LOOSE 8 /* or'ed to the first two: in no list yet, of any number of pages */

struct exo_page {
    uint32_t run;        /* kind and pages: the truth, changed by one store */
    uint32_t next, prev; /* of the free list, by page; 0: none */
    uint32_t zeros;      /* bit i: of a dirty run of up to 16 pages, page i is clean all the same */
};

/* The heap's header, zeroed memory before. Lists and counters of pages: under lock. */
struct exo_heap {
    uint64_t magic;
    uint64_t zero;               /* the depth of the end of all lists */
    uint64_t size;               /* bytes, all in all */
    uint32_t flags, owner_limit; /* numbers below it have caches */
    uint32_t pages, chunks;
    uint32_t first_page; /* behind what the heap itself needs */
    uint32_t reserved;
    struct exo_owners owners;

    struct exo_lock lock;
    uint32_t generation; /* of the lock when the free lists were last made anew */
    uint32_t owner_top;  /* numbers from here on have never been in use */
    uint32_t page_top;   /* pages from here on have never been in use */
    uint32_t dirty_limit;
    uint64_t free_pages, dirty_pages, large_pages;
    uint64_t slab_count, purged_pages;
    uint64_t purged_at;   /* TSC when pages last went back to the host by themselves */
    uint64_t swept_at;    /* the same of slabs' pages, without the lock */
    uint32_t swept_to;    /* chunk */
    uint32_t dirty_low;   /* the least of dirty_pages since purged_at */
    uint32_t orders[2];   /* bit i: free[][i] is not empty; clean, dirty */
    uint32_t free[2][32]; /* page of the first run of 2^i pages */
    uint32_t slabs_of[EXO_CLASS_ROOM];
};

/* A process's, or thread's, own view of a heap: never shared, so that nobody else can forge it. */
struct exo_heap_user {
    char *base;              /* of the heap, here */
    uint64_t size;           /* bytes that count as the heap's, 0: none yet */
    struct exo_cache *cache; /* where lists are looked for */
    struct exo_cache *own;   /* where they are; not the same while each call is to be seen */
    uint32_t owner;
    uint32_t flags, chunks, pages, owner_limit; /* of the heap */
    uint64_t result;                            /* of exo_alloc_call(); with -EUCLEAN, where */
    int32_t error;                              /* why there was no memory: -ENOMEM, or as below */
    uint32_t reserved;
    /* Bytes from the heap: */
    uint64_t caches_at;
    uint64_t current_at; /* the chunk from which each CPU takes objects of each class */
    uint64_t partial_at; /* bitmaps, by class, of chunks whose slabs have free objects */
    uint64_t slabs_at, pages_at, data_at;
};

struct exo_heap_stats {
    uint64_t size, resident; /* bytes; resident: large, dirty, and slabs but for what is returned */
    uint64_t large;          /* bytes of large objects, in whole pages */
    uint64_t slabs;          /* bytes */
    uint64_t slab_free;      /* bytes of free objects in slabs, not in caches */
    uint64_t returned;       /* bytes of them that are not resident */
    uint64_t cached;         /* bytes of free objects in caches */
    uint64_t dirty;          /* bytes of free pages that the host still backs */
    uint64_t hits, misses, fresh, frees, spills, larges; /* as in caches, summed up */
};

/* allocinit.c. -EINVAL: size, not zeroed, not a heap. */
/* owners: numbers below this get caches. */
int exo_heap_init(struct exo_heap *heap, uint64_t size, uint32_t owners, uint32_t flags);
/* mapped: bytes at heap that may be touched; owner 0: nobody in particular, without a cache. */
int exo_heap_attach(struct exo_heap_user *user, struct exo_heap *heap, uint64_t mapped,
                    uint32_t owner);
/* Gives the cache back. */
void exo_heap_detach(struct exo_heap_user *user);
uint32_t exo_class_of(uint64_t size); /* 1 and up, for sizes to EXO_SMALL_LIMIT */
uint32_t exo_class_size(uint32_t class_);

/* alloccache.c: offsets in the heap, aligned to 16; 0: none, for user->error: -ENOMEM, or in poison
 * mode -EUCLEAN, a free object was written to. */
uint64_t exo_alloc(struct exo_heap_user *user, uint64_t size);
uint64_t exo_alloc_zeroed(struct exo_heap_user *user, uint64_t size);
/* align: a power of two, of up to 4096 bytes, or what the heap itself is aligned to. */
uint64_t exo_alloc_aligned(struct exo_heap_user *user, uint64_t size, uint64_t align);
/* -EFAULT: no object begins there; -EALREADY: it is free; -EOVERFLOW: written beyond its end. The
 * latter two are found in guard mode (EALREADY also for large objects). */
int exo_free(struct exo_heap_user *user, uint64_t offset);
/* The same for what the cache cannot do, for libexo_malloc and jitted code: that finds the offset in
 * user->result, and gets 0 or user->error. */
int exo_alloc_call(struct exo_heap_user *user, uint64_t size);
uint64_t exo_alloc_slow(struct exo_heap_user *user, uint64_t size);
int exo_free_slow(struct exo_heap_user *user, uint64_t offset);
/* Bytes that may be used; 0: no object begins there. */
uint64_t exo_heap_usable(struct exo_heap_user *user, uint64_t offset);
/* Makes an object that large where it is: true, or nothing has changed. */
bool exo_heap_resize(struct exo_heap_user *user, uint64_t offset, uint64_t size);

/* allocrepair.c */
/* What dead owners had cached comes back; how many objects. Before a number gets a new owner, and by
 * anybody at any time. */
uint64_t exo_heap_repair(struct exo_heap_user *user);
/* Lets the caches' own words say who is alive: owners set theirs when they attach. */
void exo_heap_own_words(struct exo_heap *heap);
/* Says that an owner, by its cache's own word, is dead. */
int exo_heap_bury(struct exo_heap *heap, uint64_t mapped, uint32_t owner);
/* Ends claims of nobody in particular: for the only user left, after fork(2). */
void exo_heap_unclaim_anonymous(struct exo_heap_user *user);
/* Gives pages that nobody uses back to the host; bytes. */
uint64_t exo_heap_trim(struct exo_heap_user *user);
void exo_heap_stats(struct exo_heap_user *user, struct exo_heap_stats *stats);

/* allocguard.c: what is wrong, for exo_free()'s errors; NULL for others. */
const char *exo_heap_complaint(int error);

#endif
