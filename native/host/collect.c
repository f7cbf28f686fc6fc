/* Finds what killed tasks have left in the kernel region's heap, and makes it free again.
 *
 * Whatever is neither on a free list, nor reachable from a task's fd table, nor in the hand of a
 * living task (core/tables.c) was in the hand of one that was killed. Both locks are held, which
 * the kernel process alone may do: if it dies all die, so nobody will miss a lock of its.
 * Guests may have written anything into the region, so offsets are checked and lists bounded; then
 * nothing is freed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <exo/core.h>

#include "host.h"

enum { UNIT = 64 }; /* blocks start and end on multiples of it */

/* The heap's two parts side by side, without what lies between them. */
#define NEAR_UNITS (EXO_NEAR_HEAP_SIZE / UNIT)

struct heap {
    struct exo_kr *kr;
    uint64_t count;  /* units, the near part's and then the far part's; 0 is not of the heap */
    uint8_t *seen;   /* a byte per unit */
    uint32_t *users; /* per unit at which a table starts */
    bool broken;
};

static uint64_t unit_of(uint64_t offset)
{
    return offset < EXO_FAR_HEAP ? offset / UNIT : NEAR_UNITS + (offset - EXO_FAR_HEAP) / UNIT;
}

static uint64_t offset_of(uint64_t unit)
{
    return unit < NEAR_UNITS ? unit * UNIT : EXO_FAR_HEAP + (unit - NEAR_UNITS) * UNIT;
}

static uint64_t table_size(void)
{
    return (sizeof(struct exo_fd_table) + UNIT - 1) / UNIT * UNIT;
}

static uint64_t array_size(uint32_t size_class)
{
    return ((uint64_t)EXO_FD_BASE_COUNT << size_class) * sizeof(struct exo_fd);
}

static bool is_in_heap(const struct heap *heap, uint64_t offset, uint64_t size)
{
    uint64_t unit = unit_of(offset);
    bool far = offset >= EXO_FAR_HEAP;
    if (offset % UNIT != 0 || unit == 0 || (!far && offset >= EXO_NEAR_HEAP_SIZE))
        return false;
    uint64_t end = far || heap->count < NEAR_UNITS ? heap->count : NEAR_UNITS;
    return unit < end && size <= (end - unit) * UNIT;
}

/* Marks a block; false if it lies outside the heap, or is marked already. */
static bool mark(struct heap *heap, uint64_t offset, uint64_t size)
{
    if (!is_in_heap(heap, offset, size)) {
        heap->broken = true;
        return false;
    }
    uint64_t first = unit_of(offset);
    bool fresh = heap->seen[first] == 0;
    memset(heap->seen + first, 1, size / UNIT);
    return fresh;
}

/* The class of the array in place, which a grower may have been killed at replacing. */
static uint32_t class_of(const struct exo_fd_table *table)
{
    uint32_t growing = __atomic_load_n(&table->growing, __ATOMIC_ACQUIRE);
    uint32_t class = __atomic_load_n(&table->class_, __ATOMIC_ACQUIRE);
    if (class >= EXO_TABLE_CLASS_COUNT || growing >= EXO_TABLE_CLASS_COUNT)
        return 0;
    bool replaced = table->outgrown[class] != 0 && table->outgrown[class] != table->entries;
    return growing > class && replaced ? growing : class;
}

static void mark_table(struct heap *heap, uint64_t offset)
{
    mark(heap, offset, table_size());
    if (heap->broken)
        return;
    const struct exo_fd_table *table = exo_kr_at(heap->kr, offset);
    if (table->entries != 0)
        mark(heap, table->entries, array_size(class_of(table)));
    for (uint32_t i = 0; i < EXO_TABLE_CLASS_COUNT; i++)
        if (table->outgrown[i] != 0)
            mark(heap, table->outgrown[i], array_size(i));
}

static void mark_list(struct heap *heap, uint64_t first, uint64_t next_at, uint64_t size)
{
    for (uint64_t at = first; at != 0 && !heap->broken;) {
        heap->broken |= !mark(heap, at, size);
        at = heap->broken ? 0 : *(uint64_t *)exo_kr_at(heap->kr, at + next_at);
    }
}

static void mark_free(struct heap *heap)
{
    mark_list(heap, heap->kr->free_tables, offsetof(struct exo_fd_table, next_free), table_size());
    for (uint32_t i = 0; i < EXO_TABLE_CLASS_COUNT; i++)
        mark_list(heap, heap->kr->free_arrays[i], 0, array_size(i));
}

static void mark_held(struct heap *heap, const struct exo_task *task)
{
    uint32_t table = __atomic_load_n(&task->held_table, __ATOMIC_ACQUIRE);
    uint32_t array = __atomic_load_n(&task->held_array, __ATOMIC_ACQUIRE);
    uint32_t class = array % UNIT;
    if (table != 0)
        mark_table(heap, table);
    if (array != 0 && class < EXO_TABLE_CLASS_COUNT)
        mark(heap, array - class, array_size(class));
}

static void mark_used(struct heap *heap, const struct exo_task *task)
{
    uint64_t table = __atomic_load_n(&task->fd_table, __ATOMIC_ACQUIRE);
    if (table == 0)
        return;
    mark_table(heap, table);
    if (!heap->broken)
        heap->users[unit_of(table)]++;
}

/* Hands before tables in use: what goes from the one to the other is seen in one of them. */
static void mark_tasks(struct heap *heap)
{
    uint32_t high = __atomic_load_n(&heap->kr->task_high, __ATOMIC_ACQUIRE);
    for (uint32_t slot = 0; slot < high && slot < EXO_TASK_COUNT; slot++)
        if (heap->kr->tasks[slot].state != EXO_TASK_FREE)
            mark_held(heap, &heap->kr->tasks[slot]);
    for (uint32_t slot = 0; slot < high && slot < EXO_TASK_COUNT; slot++)
        if (heap->kr->tasks[slot].state != EXO_TASK_FREE)
            mark_used(heap, &heap->kr->tasks[slot]);
}

static void put(struct heap *heap, uint64_t *list, uint64_t next_at, uint64_t offset)
{
    *(uint64_t *)exo_kr_at(heap->kr, offset + next_at) = *list;
    *list = offset;
}

/* A gap is some blocks side by side; any blocks that fill it will do. */
static void free_gap(struct heap *heap, uint64_t at, uint64_t size)
{
    uint64_t tables = 0;
    while (tables * table_size() <= size && (size - tables * table_size()) % array_size(0) != 0)
        tables++;
    if (tables * table_size() > size)
        return;
    for (; tables > 0; tables--, at += table_size(), size -= table_size())
        put(heap, &heap->kr->free_tables, offsetof(struct exo_fd_table, next_free), at);
    for (uint32_t i = EXO_TABLE_CLASS_COUNT; i-- > 0;)
        for (; size >= array_size(i); at += array_size(i), size -= array_size(i))
            put(heap, &heap->kr->free_arrays[i], 0, at);
}

/* What nobody has of the units from first to end, which lie side by side. */
static uint64_t free_gaps(struct heap *heap, uint64_t first, uint64_t end)
{
    uint64_t freed = 0;
    while (first < end) {
        const uint8_t *gap = memchr(heap->seen + first, 0, end - first);
        if (gap == NULL)
            break;
        uint64_t at = (uint64_t)(gap - heap->seen);
        const uint8_t *taken = memchr(gap, 1, end - at);
        first = taken == NULL ? end : (uint64_t)(taken - heap->seen);
        free_gap(heap, offset_of(at), (first - at) * UNIT);
        freed += (first - at) * UNIT;
    }
    return freed;
}

static void correct_users(struct heap *heap)
{
    for (uint64_t i = 0; i < heap->count; i++)
        if (heap->users[i] != 0) {
            struct exo_fd_table *table = exo_kr_at(heap->kr, offset_of(i));
            table->users = heap->users[i];
        }
}

static int64_t collect_locked(struct heap *heap)
{
    uint64_t near = heap->count < NEAR_UNITS ? heap->count : NEAR_UNITS;
    mark_free(heap);
    mark_tasks(heap);
    if (heap->broken)
        return -EINVAL;
    correct_users(heap);
    return (int64_t)(free_gaps(heap, 1, near) + free_gaps(heap, NEAR_UNITS, heap->count));
}

/* How many units there are; 0 if that cannot be. */
static uint64_t count_units(const struct exo_kr *kr)
{
    uint64_t next = __atomic_load_n(&kr->heap_next, __ATOMIC_ACQUIRE);
    bool near = next >= UNIT && next <= EXO_NEAR_HEAP_SIZE;
    return near || (next >= EXO_FAR_HEAP && next <= EXO_FAR_HEAP_END) ? unit_of(next) : 0;
}

/* Its memory is touched here, before the locks are taken. */
static int heap_init(struct heap *heap, struct exo_kr *kr, uint64_t room)
{
    *heap = (struct heap){.kr = kr, .seen = malloc(room), .users = malloc(room * sizeof(uint32_t))};
    if (heap->seen == NULL || heap->users == NULL)
        return -ENOMEM;
    memset(heap->seen, 0, room);
    memset(heap->users, 0, room * sizeof(uint32_t));
    return 0;
}

static int64_t collect(struct exo_kr *kr, struct heap *heap, uint64_t room)
{
    exo_lock_acquire(&kr->task_lock);
    exo_lock_acquire(&kr->table_lock);
    heap->count = count_units(kr);
    int64_t freed = heap->count == 0 ? -EINVAL : -EAGAIN;
    if (heap->count != 0 && heap->count <= room)
        freed = collect_locked(heap);
    if (freed != -EAGAIN)
        exo_host_collect_objects(kr);
    exo_lock_release(&kr->table_lock);
    exo_lock_release(&kr->task_lock);
    return freed;
}

int64_t exo_host_collect(struct exo_kr *kr)
{
    int64_t freed = -EAGAIN;
    while (freed == -EAGAIN) { /* it has outgrown the room meanwhile */
        uint64_t room = count_units(kr) * 5 / 4 + NEAR_UNITS;
        struct heap heap;
        freed = heap_init(&heap, kr, room);
        if (freed == 0)
            freed = collect(kr, &heap, room);
        free(heap.seen);
        free(heap.users);
    }
    return freed;
}
