/* The heaps of a process: one as a rule, one per NUMA node where there are several, further ones
 * where the first is full or the address space is limited. Each is reserved as a whole, and costs
 * what is touched of it.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "exo_malloc.h"

#define SIZE_USUAL (256UL << 30)
#define SIZE_LIMITED (64UL << 20) /* under RLIMIT_AS, or where the host does not overcommit */
#define ALIGN_USUAL (1UL << 30)
#define ALIGN_LIMITED (2UL << 20)
#define OWNERS_USUAL 4096
#define OWNERS_LIMITED 128
#define PREFERRED 1       /* mbind(2) */
#define MEMS_ALLOWED 0x04 /* get_mempolicy(2) */

pthread_mutex_t exo_heaps_lock = PTHREAD_MUTEX_INITIALIZER;
struct exo_home exo_homes[HEAP_LIMIT];
uint32_t exo_home_count;
uint8_t exo_class_table[EXO_TABLE_LIMIT / 16 + 1];
static uint64_t nodes; /* bit per NUMA node, if there is more than one */
static uint32_t turn;

static bool is_error(long result)
{
    return result < 0 && result > -4096;
}

/* Aligned by cutting what is too much off both ends. */
static char *reserve(uint64_t size, uint64_t align)
{
    long got = exo_host_call(SYS_mmap, 0, (long)(size + align), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(got))
        return NULL;
    uint64_t start = ((uint64_t)got + align - 1) / align * align, end = start + size;
    uint64_t before = start - (uint64_t)got, behind = align - before;
    if (before != 0)
        exo_host_call(SYS_munmap, got, (long)before, 0, 0, 0, 0);
    if (behind != 0)
        exo_host_call(SYS_munmap, (long)end, (long)behind, 0, 0, 0, 0);
    return (char *)start;
}

static bool is_limited(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    exo_host_call(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0);
    return limit.rlim_cur != RLIM_INFINITY;
}

static struct exo_home *home_add(char *at, uint64_t size, uint32_t owners)
{
    uint32_t place = 0;
    while (place < exo_home_count && exo_homes[place].mapped != 0)
        place++;
    if (place == HEAP_LIMIT)
        return NULL;
    struct exo_home *home = &exo_homes[place];
    home->heap = (struct exo_heap *)at;
    if (exo_heap_init(home->heap, size, owners, exo_heap_flags) != 0 ||
        exo_heap_attach(&home->anyone, home->heap, size, 0) != 0)
        return NULL;
    exo_heap_own_words(home->heap);
    store_release(&home->mapped, size);
    if (place == exo_home_count)
        store_release(&exo_home_count, place + 1);
    return home;
}

static bool is_anyones_home(struct exo_home *home)
{
    for (uint32_t owner = 1; owner < home->heap->owner_top; owner++)
        if (load_acquire(&cache_at(&home->anyone, owner)->alive) != 0)
            return true;
    return false;
}

/* Unmaps heaps without objects or threads, but for the first ones; whether there was one. */
static bool release_empty(void)
{
    bool some = false;
    for (uint32_t i = exo_arena_count; i < exo_home_count; i++) {
        struct exo_home *home = &exo_homes[i];
        if (home->mapped == 0 || is_anyones_home(home))
            continue;
        exo_heap_trim(&home->anyone);
        if (home->heap->free_pages != home->heap->pages - home->heap->first_page)
            continue;
        exo_host_call(SYS_munmap, (long)home->heap, (long)home->mapped, 0, 0, 0, 0);
        store_release(&home->mapped, 0);
        some = true;
    }
    return some;
}

struct exo_home *exo_home_create(uint64_t object_size)
{
    uint64_t size = SIZE_LIMITED, align = ALIGN_LIMITED;
    uint32_t owners = OWNERS_LIMITED;
    char *at = NULL;
    if (object_size > EXO_HEAP_SIZE_MAX / 4)
        return NULL;
    if (!is_limited() && object_size < SIZE_USUAL / 2)
        at = reserve(SIZE_USUAL, ALIGN_USUAL);
    if (at != NULL) {
        size = SIZE_USUAL;
        owners = OWNERS_USUAL;
    } else {
        /* The upper half of a heap is one run of pages. */
        while (object_size > size / 2)
            size *= 2;
        at = reserve(size, align);
        if (at == NULL && release_empty())
            at = reserve(size, align);
    }
    return at == NULL ? NULL : home_add(at, size, owners);
}

static void make_table(void)
{
    for (uint64_t size = 0; size <= EXO_TABLE_LIMIT; size += 16)
        exo_class_table[size / 16] = (uint8_t)exo_class_of(size);
}

static void ask_for_nodes(void)
{
    uint64_t mask[16] = {0};
    if (exo_host_call(SYS_get_mempolicy, 0, (long)mask, 1024, 0, MEMS_ALLOWED, 0) == 0 &&
        (mask[0] & (mask[0] - 1)) != 0)
        nodes = mask[0];
    if (nodes != 0)
        exo_arena_count = (uint32_t)__builtin_popcountll(nodes);
}

static void bind_to(const struct exo_home *home, uint32_t node)
{
    uint64_t mask = 1UL << node;
    exo_host_call(SYS_mbind, (long)home->heap, (long)home->mapped, PREFERRED, (long)&mask, 64, 0);
}

static void create_first(void)
{
    uint64_t left;
    exo_options_read();
    make_table();
    ask_for_nodes();
    left = nodes;
    for (uint32_t i = 0; i < exo_arena_count && i < HEAP_LIMIT; i++, left &= left - 1) {
        struct exo_home *home = exo_home_create(0);
        if (home != NULL && left != 0)
            bind_to(home, (uint32_t)__builtin_ctzll(left));
    }
}

/* The home for this thread: that of its node, or the next one in turn. */
static uint32_t preferred(void)
{
    uint32_t cpu = 0, node = 0;
    if (nodes == 0)
        return exo_arena_count <= 1 ? 0 : fetch_add(&turn, 1) % exo_arena_count;
    exo_host_call(SYS_getcpu, (long)&cpu, (long)&node, 0, 0, 0, 0);
    return (uint32_t)__builtin_popcountll(nodes & ((1UL << node % 64) - 1)) % exo_arena_count;
}

struct exo_home *exo_home_choose(void)
{
    if (load_acquire(&exo_home_count) < exo_arena_count || exo_home_count == 0) {
        pthread_mutex_lock(&exo_heaps_lock);
        if (exo_home_count == 0)
            create_first();
        pthread_mutex_unlock(&exo_heaps_lock);
    }
    uint32_t count = load_acquire(&exo_home_count);
    return count == 0 ? NULL : &exo_homes[preferred() % count];
}

struct exo_heap_user *exo_user_of(const void *at)
{
    uint64_t offset = (uint64_t)at - (uint64_t)exo_user.base;
    if (offset < exo_user.size)
        return &exo_user;
    uint32_t count = load_acquire(&exo_home_count);
    for (uint32_t i = 0; i < count; i++) {
        offset = (uint64_t)at - (uint64_t)exo_homes[i].heap;
        if (offset < exo_homes[i].mapped)
            return &exo_homes[i].anyone;
    }
    return NULL;
}
