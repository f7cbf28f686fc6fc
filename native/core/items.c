/* Registered rings and pools: what is looked at before an owner's number is given to another. An
 * offset that was found in shared memory is followed only where it leads to a ring or pool that lies
 * within what this process has mapped.
 */
#include <asm-generic/errno-base.h>

#include <exo/ringset.h>

#include "atomic.h"
#include "items.h"
#include "ring.h"

enum kind { NOTHING, RING, SET, POOL };

static bool is_mapped(const struct exo_mapped *mapped, uint64_t at, uint64_t size)
{
    uint64_t base = (uint64_t)(uintptr_t)mapped->at;
    return at >= base && at - base <= mapped->size && size <= mapped->size - (at - base);
}

static bool is_ring(const struct exo_mapped *mapped, uint64_t at)
{
    const struct exo_ring *ring = (const struct exo_ring *)(uintptr_t)at;
    if ((at & 63) || !is_mapped(mapped, at, sizeof(*ring)) ||
        load_acquire(&ring->magic) != EXO_RING_MAGIC)
        return false;
    uint32_t order = ring->order;
    return order <= EXO_RING_ORDER_MAX && is_mapped(mapped, at, exo_ring_size(order));
}

static bool is_set(const struct exo_mapped *mapped, uint64_t at)
{
    const struct exo_ringset *set = (const struct exo_ringset *)(uintptr_t)at;
    if ((at & 63) || !is_mapped(mapped, at, sizeof(*set)) ||
        load_acquire(&set->magic) != EXO_RINGSET_MAGIC)
        return false;
    uint64_t count = set->count, stride = set->stride;
    bool good = count > 0 && count <= EXO_RINGSET_MAX && (stride & 63) == 0 &&
                stride <= mapped->size && is_mapped(mapped, at + sizeof(*set), count * stride);
    for (uint64_t i = 0; i < count && good; i++)
        good = is_ring(mapped, at + sizeof(*set) + i * stride);
    return good;
}

static bool is_pool(const struct exo_mapped *mapped, uint64_t at)
{
    const struct exo_pool *pool = (const struct exo_pool *)(uintptr_t)at;
    if ((at & 63) || !is_mapped(mapped, at, sizeof(*pool)) ||
        load_acquire(&pool->magic) != EXO_POOL_MAGIC)
        return false;
    uint64_t count = pool->count, size = pool->block_size;
    return count > 0 && size > 0 && count <= UINT32_MAX && size <= mapped->size / count &&
           is_mapped(mapped, at, exo_pool_size(size, count));
}

static enum kind kind_of(const struct exo_mapped *mapped, uint64_t at)
{
    return is_ring(mapped, at)   ? RING
           : is_set(mapped, at)  ? SET
           : is_pool(mapped, at) ? POOL
                                 : NOTHING;
}

/* Its, as seen from where it keeps them. */
static void set_owners(struct exo_owners *its, const struct exo_owners *owners)
{
    *its = *owners;
    its->away = owners->away + ((const char *)owners - (const char *)its);
}

static void set_all_owners(enum kind kind, void *item, const struct exo_owners *owners)
{
    struct exo_ringset *set = item;
    if (kind == RING)
        set_owners(&((struct exo_ring *)item)->owners, owners);
    else if (kind == POOL)
        set_owners(&((struct exo_pool *)item)->owners, owners);
    for (uint32_t i = 0; kind == SET && i < set->count; i++)
        set_owners(&exo_ringset_ring(set, i)->owners, owners);
}

static uint32_t repair(enum kind kind, void *item, uint32_t gone)
{
    struct exo_ringset *set = item;
    uint32_t count = kind == RING   ? exo_ring_repair_of(item, gone)
                     : kind == POOL ? exo_pool_repair_of(item, gone)
                                    : 0;
    for (uint32_t i = 0; kind == SET && i < set->count; i++)
        count += exo_ring_repair_of(exo_ringset_ring(set, i), gone);
    return count;
}

int exo_items_add(struct exo_items *items, const struct exo_mapped *mapped, void *item,
                  const struct exo_owners *owners)
{
    enum kind kind = kind_of(mapped, (uint64_t)(uintptr_t)item);
    if (kind == NOTHING)
        return -EBADF;
    set_all_owners(kind, item, owners);
    exo_items_remove(items, item);
    for (int i = 0; i < EXO_ITEM_COUNT; i++) {
        int64_t none = 0;
        if (compare_exchange(&items->away[i], &none, (char *)item - (char *)items))
            return 0;
    }
    return -ENOSPC;
}

void exo_items_remove(struct exo_items *items, const void *item)
{
    for (int i = 0; i < EXO_ITEM_COUNT; i++) {
        int64_t away = (const char *)item - (const char *)items;
        compare_exchange(&items->away[i], &away, 0);
    }
}

/* Blocks after all rings: one that was sent is lost or not by what stands in its slot. */
uint32_t exo_items_repair(struct exo_items *items, const struct exo_mapped *mapped, uint32_t gone)
{
    uint32_t count = 0;
    for (int i = 0; i < 2 * EXO_ITEM_COUNT; i++) {
        int64_t away = load_acquire(&items->away[i % EXO_ITEM_COUNT]);
        uint64_t at = (uint64_t)(uintptr_t)items + (uint64_t)away;
        enum kind kind = away == 0 ? NOTHING : kind_of(mapped, at);
        if ((kind == POOL) == (i >= EXO_ITEM_COUNT))
            count += repair(kind, (void *)(uintptr_t)at, gone);
    }
    return count;
}

static struct exo_mapped region_of(struct exo_kr *kr)
{
    return (struct exo_mapped){.at = kr, .size = kr->size};
}

int exo_kr_register(struct exo_kr *kr, void *item)
{
    struct exo_mapped mapped = region_of(kr);
    struct exo_owners owners;
    exo_owners_set(&owners, &kr->tasks[0].alive.word, sizeof(struct exo_task), EXO_TASK_COUNT);
    int error = exo_items_add(&kr->items, &mapped, item, &owners);
    if (error == 0)
        store_release(&kr->has_items, 1);
    return error;
}

void exo_kr_unregister(struct exo_kr *kr, const void *item)
{
    exo_items_remove(&kr->items, item);
}

void exo_kr_repair(struct exo_kr *kr, uint32_t slot)
{
    struct exo_mapped mapped = region_of(kr);
    exo_items_repair(&kr->items, &mapped, slot);
}
