/* What the files of libexo_malloc.so share: malloc(3) on the core's heaps, for unmodified programs.
 *
 * Rules: nothing here allocates, but by the heaps themselves; no libc function is called that may.
 * Lock order: exo_heaps_lock, then a heap's own.
 */
#ifndef EXO_MALLOC_H
#define EXO_MALLOC_H

#include <pthread.h>
#include <stdbool.h>

#include "core/alloc.h"

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HEAP_LIMIT 64

/* A heap of this process, and a view of it for threads that are at home in another one. */
struct exo_home {
    struct exo_heap *heap;
    uint64_t mapped; /* bytes; 0: none any more */
    struct exo_heap_user anyone;
};

/* This thread's view of its home. Before its first allocation one of nothing, with empty lists. */
extern _Thread_local struct exo_heap_user exo_user
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern struct exo_cache exo_nothing; /* a cache without lists, into which nothing is put */
extern uint8_t exo_class_table[];    /* by size in units of 16 bytes; zeros before the first heap */
#define EXO_TABLE_LIMIT 2048         /* bytes */

/* heaps.c */
extern pthread_mutex_t exo_heaps_lock;
extern struct exo_home exo_homes[HEAP_LIMIT];
extern uint32_t exo_home_count;
/* The heap an address lies in, as this thread is to see it; NULL: in none. */
struct exo_heap_user *exo_user_of(const void *at);
/* The heap for a new thread; NULL: no memory. */
struct exo_home *exo_home_choose(void);
/* One that has room for an object, other than home; NULL: none. With exo_heaps_lock. */
struct exo_home *exo_home_create(uint64_t object_size);

/* thread.c */
bool exo_thread_attach(void); /* false: no memory */
bool exo_thread_move(struct exo_home *home);

/* options.c */
extern uint32_t exo_heap_flags, exo_arena_count;
extern bool exo_counts;
void exo_options_read(void);
_Noreturn void exo_die(const char *what, const void *where);

#endif
