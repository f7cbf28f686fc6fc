/* malloc(3) and its relatives: libexo_malloc.so, linked or preloaded. C++'s operators come through
 * here, too. The first lines of malloc() and free() are the way of nearly all calls: no atomics, no
 * calls, this thread's own lists (core/alloc.h, without its checks: the memory is private).
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "exo_malloc.h"

static __attribute__((cold)) void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Room in another heap: small objects and the thread's further ones come from there from now on. */
static void *alloc_elsewhere(size_t size, size_t align)
{
    uint64_t offset = 0;
    struct exo_home *home = NULL;
    if (exo_user.error == -EUCLEAN)
        exo_die(exo_heap_complaint(-EUCLEAN), exo_user.base + exo_user.result);
    pthread_mutex_lock(&exo_heaps_lock);
    for (uint32_t i = 0; i < exo_home_count && offset == 0; i++) {
        home = &exo_homes[i];
        if (home->mapped != 0 && (char *)home->heap != exo_user.base)
            offset = exo_alloc_aligned(&home->anyone, size, align);
    }
    if (offset == 0 && (home = exo_home_create(size > align ? size : align)) != NULL)
        offset = exo_alloc_aligned(&home->anyone, size, align);
    if (offset != 0 && size <= EXO_SMALL_LIMIT)
        exo_thread_move(home);
    pthread_mutex_unlock(&exo_heaps_lock);
    return offset != 0 ? (char *)home->heap + offset : no_memory();
}

static bool is_ready(size_t size)
{
    return size <= PTRDIFF_MAX && (exo_user.size != 0 || exo_thread_attach());
}

static __attribute__((noinline)) void *alloc_slow(size_t size)
{
    if (!is_ready(size))
        return no_memory();
    uint64_t offset = exo_alloc_slow(&exo_user, size);
    return offset != 0 ? exo_user.base + offset : alloc_elsewhere(size, 16);
}

static __attribute__((noinline)) void free_slow(void *object)
{
    if (object == NULL)
        return;
    struct exo_heap_user *user = exo_user_of(object);
    if (user == NULL)
        exo_die("free of what is no object", object);
    int error = exo_free_slow(user, (uint64_t)((char *)object - user->base));
    if (error != 0)
        exo_die(exo_heap_complaint(error), object);
}

static inline void *alloc(size_t size)
{
    if (LIKELY(size <= EXO_TABLE_LIMIT)) {
        uint64_t *list = &exo_user.cache->list[exo_class_table[(size + 15) / 16]], offset = *list;
        if (LIKELY(offset != 0)) {
            struct exo_free_object *object = (void *)(exo_user.base + offset);
            *list = object->next;
            return object;
        }
    }
    return alloc_slow(size);
}

EXPORT void *malloc(size_t size)
{
    return alloc(size);
}

EXPORT void free(void *object)
{
    char *base = exo_user.base;
    uint64_t offset = (uint64_t)object - (uint64_t)base;
    if (LIKELY(offset < exo_user.size)) {
        uint32_t class_ = (uint8_t)base[EXO_HEAP_CLASSES_AT + offset / CHUNK_SIZE];
        uint64_t *list = &exo_user.cache->list[class_], head = *list;
        uint32_t depth = ((struct exo_free_object *)(base + head))->depth;
        if (LIKELY(depth < exo_user.cache->limit[class_])) {
            struct exo_free_object *freed = object;
            freed->next = head;
            freed->depth = depth + 1;
            *list = offset;
            return;
        }
    }
    free_slow(object);
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole))
        return no_memory();
    if (whole <= EXO_SMALL_LIMIT) {
        void *object = alloc(whole);
        return object != NULL ? memset(object, 0, whole) : NULL;
    }
    if (!is_ready(whole))
        return no_memory();
    uint64_t offset = exo_alloc_zeroed(&exo_user, whole);
    if (offset != 0)
        return exo_user.base + offset;
    void *object = alloc_elsewhere(whole, 16);
    return object != NULL ? memset(object, 0, whole) : NULL;
}

EXPORT size_t malloc_usable_size(void *object)
{
    struct exo_heap_user *user = object != NULL ? exo_user_of(object) : NULL;
    return user != NULL ? exo_heap_usable(user, (uint64_t)((char *)object - user->base)) : 0;
}

static void *move(void *object, size_t old, size_t size)
{
    void *moved = alloc(size);
    if (moved != NULL) {
        memcpy(moved, object, old < size ? old : size);
        free(object);
    }
    return moved;
}

EXPORT void *realloc(void *object, size_t size)
{
    if (object == NULL)
        return alloc(size);
    if (size == 0) {
        free(object);
        return NULL;
    }
    size_t old = malloc_usable_size(object);
    if (old == 0)
        exo_die("realloc of what is no object", object);
    struct exo_heap_user *user = exo_user_of(object);
    if (exo_heap_resize(user, (uint64_t)((char *)object - user->base), size))
        return object;
    return move(object, old, size);
}

EXPORT void *reallocarray(void *object, size_t count, size_t size)
{
    size_t whole;
    return __builtin_mul_overflow(count, size, &whole) ? no_memory() : realloc(object, whole);
}

static void *alloc_aligned(size_t align, size_t size)
{
    if (align <= 16)
        return alloc(size);
    if (!is_ready(size) || align > PTRDIFF_MAX)
        return no_memory();
    uint64_t offset = exo_alloc_aligned(&exo_user, size, align);
    void *object = offset != 0 ? exo_user.base + offset : NULL;
    if (object != NULL && (uintptr_t)object % align != 0) { /* more than the heap itself is */
        free(object);
        object = NULL;
    }
    return object != NULL ? object : offset == 0 ? alloc_elsewhere(size, align) : no_memory();
}

EXPORT void *memalign(size_t align, size_t size)
{
    while (align & (align - 1)) /* the next power of two, as glibc does */
        align = (align | (align - 1)) + 1;
    return alloc_aligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

EXPORT int posix_memalign(void **object, size_t align, size_t size)
{
    int before = errno;
    if (align % sizeof(void *) != 0 || align == 0 || (align & (align - 1)))
        return EINVAL;
    void *made = alloc_aligned(align, size);
    errno = before;
    if (made == NULL)
        return ENOMEM;
    *object = made;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return alloc_aligned(PAGE_SIZE, size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t whole;
    return __builtin_add_overflow(size, PAGE_SIZE - 1, &whole)
               ? no_memory()
               : alloc_aligned(PAGE_SIZE, whole & -PAGE_SIZE);
}

EXPORT int malloc_trim(size_t pad)
{
    uint64_t bytes = 0;
    (void)pad;
    if (exo_user.size != 0)
        bytes += exo_heap_trim(&exo_user);
    for (uint32_t i = 0; i < load_acquire(&exo_home_count); i++)
        if (exo_homes[i].mapped != 0 && (char *)exo_homes[i].heap != exo_user.base)
            bytes += exo_heap_trim(&exo_homes[i].anyone);
    return bytes != 0;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 info = {0};
    for (uint32_t i = 0; i < load_acquire(&exo_home_count); i++) {
        struct exo_heap_stats stats;
        if (exo_homes[i].mapped == 0)
            continue;
        exo_heap_stats(&exo_homes[i].anyone, &stats);
        size_t spare = stats.slab_free - stats.returned + stats.cached + stats.dirty;
        info.arena += stats.resident;
        info.fordblks += spare;
        info.uordblks += stats.resident - spare;
        info.fsmblks += stats.cached;
        info.keepcost += stats.dirty;
    }
    return info;
}
