/* The pool of stacks. A guard page is, since Linux 6.13, a mark in the page table
 * (MADV_GUARD_INSTALL): touching it is a SIGSEGV, and it takes no mapping of its own, of which a
 * process may have 65,530 (vm.max_map_count). On an older host it is a page without rights, which
 * cuts the slab in two mappings per stack: so there are some 32,000 stacks at most, and then
 * exo_stack_take() fails; there is never a stack without a guard.
 *
 * Stacks that come back keep their memory for the next user, up to WARM of them; then the memory of
 * the oldest DROPPED goes back to the host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stack.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { WARM = 1024, DROPPED = 512 };
#define SLAB_FIRST (2UL << 20) /* bytes */
#define SLAB_LAST (64UL << 20)

struct exo_stack_slab {
    struct exo_stack_slab *next;
    char *memory;
    uint64_t size; /* bytes */
};

int exo_stack_pool_init(struct exo_stack_pool *pool, uint64_t stack_size, bool markers)
{
    *pool = (struct exo_stack_pool){
        .stack_size = stack_size, .page_size = (uint64_t)sysconf(_SC_PAGESIZE), .markers = markers};
    pool->warm = malloc(WARM * sizeof(void *));
    return pool->warm == NULL ? -ENOMEM : -pthread_mutex_init(&pool->lock, NULL);
}

void exo_stack_pool_deinit(struct exo_stack_pool *pool)
{
    while (pool->slabs != NULL) {
        struct exo_stack_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        munmap(slab->memory, slab->size);
        free(slab);
    }
    free(pool->warm);
    free(pool->cold);
    pthread_mutex_destroy(&pool->lock);
}

/* Room for all stacks in the list of those without memory, so that giving one back cannot fail. */
static bool reserve_list(struct exo_stack_pool *pool, uint64_t more)
{
    void **cold = realloc(pool->cold, (pool->room + more) * sizeof(void *));
    if (cold == NULL)
        return false;
    pool->cold = cold;
    pool->room += more;
    return true;
}

static char *map_slab(uint64_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_NOHUGEPAGE); /* a stack's one page would become many */
    return memory;
}

static bool grow(struct exo_stack_pool *pool)
{
    uint64_t size = pool->slabs == NULL ? SLAB_FIRST : pool->slabs->size * 2;
    size = size > SLAB_LAST ? SLAB_LAST : size;
    size = size < pool->stack_size ? pool->stack_size : size;
    struct exo_stack_slab *slab = malloc(sizeof(*slab));
    char *memory = slab == NULL ? NULL : map_slab(size);
    if (memory == NULL || !reserve_list(pool, size / pool->stack_size)) {
        if (memory != NULL)
            munmap(memory, size);
        free(slab);
        return false;
    }
    *slab = (struct exo_stack_slab){pool->slabs, memory, size};
    pool->slabs = slab;
    pool->fresh = size / pool->stack_size;
    pool->bytes += size;
    return true;
}

static bool set_guard(struct exo_stack_pool *pool, void *stack)
{
    if (pool->markers && madvise(stack, pool->page_size, MADV_GUARD_INSTALL) == 0)
        return true;
    if (pool->markers && errno != EINVAL)
        return false;
    pool->markers = false;
    return mprotect(stack, pool->page_size, PROT_NONE) == 0;
}

/* One that nobody has had: from the slab's end, since the host puts the next slab below this one. */
static void *take_fresh(struct exo_stack_pool *pool)
{
    if (pool->fresh == 0 && !grow(pool))
        return NULL;
    void *stack = pool->slabs->memory + (pool->fresh - 1) * pool->stack_size;
    if (!set_guard(pool, stack))
        return NULL;
    pool->fresh--;
    pool->made++;
    return stack;
}

void *exo_stack_take(struct exo_stack_pool *pool)
{
    void *stack;
    pthread_mutex_lock(&pool->lock);
    if (pool->warm_count > 0)
        stack = pool->warm[--pool->warm_count];
    else if (pool->cold_count > 0)
        stack = pool->cold[--pool->cold_count];
    else
        stack = take_fresh(pool);
    pthread_mutex_unlock(&pool->lock);
    return stack;
}

static int by_address(const void *a, const void *b)
{
    const char *first = *(char *const *)a, *second = *(char *const *)b;
    return (first > second) - (first < second);
}

/* Neighbours at once, since each madvise() interrupts the other CPUs. Guards survive it, both kinds
 * of them. */
static void drop_memory(struct exo_stack_pool *pool, void **stacks)
{
    qsort(stacks, DROPPED, sizeof(*stacks), by_address);
    for (uint32_t i = 0, end; i < DROPPED; i = end) {
        char *first = stacks[i];
        for (end = i + 1; end < DROPPED && stacks[end] == first + (end - i) * pool->stack_size;)
            end++;
        madvise(first, (end - i) * pool->stack_size, MADV_DONTNEED);
    }
}

/* The oldest of the warm ones, to be made cold. */
static void take_oldest(struct exo_stack_pool *pool, void **stacks)
{
    memcpy(stacks, pool->warm, DROPPED * sizeof(*stacks));
    pool->warm_count -= DROPPED;
    memmove(pool->warm, pool->warm + DROPPED, pool->warm_count * sizeof(*stacks));
}

void exo_stack_give(struct exo_stack_pool *pool, void *stack)
{
    void *dropped[DROPPED];
    pthread_mutex_lock(&pool->lock);
    bool full = pool->warm_count == WARM;
    if (full)
        take_oldest(pool, dropped);
    pool->warm[pool->warm_count++] = stack;
    pthread_mutex_unlock(&pool->lock);
    if (!full)
        return;
    drop_memory(pool, dropped);
    pthread_mutex_lock(&pool->lock);
    memcpy(pool->cold + pool->cold_count, dropped, sizeof(dropped));
    pool->cold_count += DROPPED;
    pthread_mutex_unlock(&pool->lock);
}
