/* Threads and their caches; what is left of them in a child of fork(2). */
#include <stdlib.h>

#include "exo_malloc.h"

/* What a thread sees before its first allocation, and when there is no number for it any more. */
static struct exo_heap nothing;
struct exo_cache exo_nothing;
_Thread_local struct exo_heap_user exo_user __attribute__((tls_model("initial-exec"))) = {
    .base = (char *)&nothing,
    .cache = &exo_nothing,
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool is_ending __attribute__((tls_model("initial-exec")));

/* A number that nobody has: its cache's word is 0. 0: there is none. */
static uint32_t owner_take(struct exo_home *home)
{
    uint32_t count = home->heap->owner_limit, free = 0;
    for (uint32_t owner = 1; owner < count; owner++, free = 0) {
        uint32_t *alive = &cache_at(&home->anyone, owner)->alive;
        if (load_relaxed(alive) == 0 && compare_exchange(alive, &free, 1))
            return owner;
    }
    return 0;
}

static void leave_home(void)
{
    struct exo_cache *own = exo_user.own;
    exo_heap_detach(&exo_user);
    exo_user.cache = &exo_nothing;
    if (own != NULL)
        store_release(&own->alive, 0);
}

/* Other destructors may still allocate: the last round leaves them without a cache. */
static void on_thread_end(void *rounds)
{
    uintptr_t left = (uintptr_t)rounds;
    if (left > 1 && pthread_setspecific(key, (void *)(left - 1)) == 0)
        return;
    is_ending = true;
    leave_home();
}

bool exo_thread_move(struct exo_home *home)
{
    uint32_t owner = is_ending ? 0 : owner_take(home);
    struct exo_heap_user next;
    if (exo_heap_attach(&next, home->heap, home->mapped, owner) != 0)
        return false;
    leave_home();
    if (exo_counts || next.cache == NULL)
        next.cache = &exo_nothing;
    exo_user = next;
    return true;
}

/* --- fork: the child has one thread, whatever the others were doing ----------------------------- */

static void before_fork(void)
{
    pthread_mutex_lock(&exo_heaps_lock);
    for (uint32_t i = 0; i < exo_home_count; i++)
        if (exo_homes[i].mapped != 0)
            exo_heap_lock(&exo_homes[i].anyone);
}

static void unlock_all(void)
{
    for (uint32_t i = exo_home_count; i-- > 0;)
        if (exo_homes[i].mapped != 0)
            exo_heap_unlock(&exo_homes[i].anyone);
    pthread_mutex_unlock(&exo_heaps_lock);
}

/* Marks the caches of the other threads; whether there were any. */
static bool bury_others(struct exo_home *home)
{
    bool some = false;
    for (uint32_t owner = 1; owner < home->heap->owner_top; owner++) {
        struct exo_cache *cache = cache_at(&home->anyone, owner);
        if (cache == exo_user.own || load_relaxed(&cache->alive) == 0)
            continue;
        store_release(&cache->alive, 0);
        some = true;
    }
    return some;
}

static void in_child(void)
{
    exo_self()->host_tid = 0;
    unlock_all();
    for (uint32_t i = 0; i < exo_home_count; i++) {
        struct exo_home *home = &exo_homes[i];
        if (home->mapped == 0)
            continue;
        bool mine = (char *)home->heap == exo_user.base;
        exo_heap_unclaim_anonymous(&home->anyone); /* of threads that freed another arena's */
        if (bury_others(home))
            exo_heap_repair(mine ? &exo_user : &home->anyone);
    }
}

static void prepare(void)
{
    pthread_key_create(&key, on_thread_end);
    pthread_atfork(before_fork, unlock_all, in_child);
}

bool exo_thread_attach(void)
{
    struct exo_home *home = exo_home_choose();
    if (home == NULL || !exo_thread_move(home))
        return false;
    if (is_ending)
        return true;
    pthread_once(&once, prepare);
    pthread_setspecific(key, (void *)3); /* destructors run up to four times */
    return true;
}
