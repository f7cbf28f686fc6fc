/* Fd tables as a whole: made, shared, given back, and the heap that they and their arrays lie in.
 *
 * Rules: nothing is ever out of sight. A table or array that is neither free nor reachable from a
 * task stands in the held_table or held_array of the task that works on it, from before it leaves
 * the one place until it is in the other; when such a task is killed, host/collect.c finds what it
 * had. A task's fd_table, and the count of a table's users, change under task_lock only; cut short,
 * the count is too high, never too low, and host/collect.c corrects it.
 */
#include "tables.h"
#include "atomic.h"
#include "mem.h"
#include "objects.h"

_Static_assert(EXO_FAR_HEAP_END < UINT32_MAX, "held_table and held_array");

static struct exo_task *me(struct exo_kr *kr)
{
    return &kr->tasks[exo_self()->slot];
}

struct kind {
    uint64_t *list;
    uint64_t next_at; /* where in a free block the next one stands */
    uint64_t size;
    uint32_t *held;
    uint32_t tag; /* what *held has in its low bits */
};

/* The next free block of a kind, or one that was never used; *held names it before it is gone. */
static uint64_t take_locked(struct exo_kr *kr, const struct kind *kind)
{
    uint64_t offset = *kind->list;
    if (offset != 0) {
        store_release(kind->held, (uint32_t)offset | kind->tag);
        store_release(kind->list, *(uint64_t *)exo_kr_at(kr, offset + kind->next_at));
        return offset;
    }
    offset = kr->heap_next;
    if (offset <= EXO_NEAR_HEAP_SIZE && offset + kind->size > EXO_NEAR_HEAP_SIZE)
        offset = EXO_FAR_HEAP;
    if (offset + kind->size > (kr->size < EXO_FAR_HEAP_END ? kr->size : EXO_FAR_HEAP_END))
        return 0;
    store_release(kind->held, (uint32_t)offset | kind->tag);
    store_release(&kr->heap_next, offset + ((kind->size + 63) & ~63UL));
    return offset;
}

static void put_locked(struct exo_kr *kr, uint64_t *list, uint64_t next_at, uint64_t offset)
{
    *(uint64_t *)exo_kr_at(kr, offset + next_at) = *list;
    store_release(list, offset);
}

uint64_t exo_array_create(struct exo_kr *kr, uint32_t size_class)
{
    uint64_t count = (uint64_t)EXO_FD_BASE_COUNT << size_class;
    const struct kind array = {.list = &kr->free_arrays[size_class],
                               .size = count * sizeof(struct exo_fd),
                               .held = &me(kr)->held_array,
                               .tag = size_class};
    exo_lock_acquire(&kr->table_lock);
    uint64_t offset = take_locked(kr, &array);
    exo_lock_release(&kr->table_lock);
    if (offset != 0) {
        struct exo_fd *entries = exo_kr_at(kr, offset);
        for (uint64_t i = 0; i < count; i++)
            entries[i] = (struct exo_fd){.host = EXO_FD_HOST_FREE};
    }
    return offset;
}

void exo_array_given(struct exo_kr *kr)
{
    store_release(&me(kr)->held_array, 0);
}

void exo_array_free(struct exo_kr *kr, uint64_t offset, uint32_t size_class)
{
    exo_lock_acquire(&kr->table_lock);
    put_locked(kr, &kr->free_arrays[size_class], 0, offset);
    exo_lock_release(&kr->table_lock);
}

static uint64_t table_take(struct exo_kr *kr)
{
    const struct kind table = {.list = &kr->free_tables,
                               .next_at = offsetof(struct exo_fd_table, next_free),
                               .size = sizeof(struct exo_fd_table),
                               .held = &me(kr)->held_table};
    exo_lock_acquire(&kr->table_lock);
    uint64_t offset = take_locked(kr, &table);
    exo_lock_release(&kr->table_lock);
    if (offset != 0)
        memset(exo_table_at(kr, offset), 0, sizeof(struct exo_fd_table));
    return offset;
}

static void table_put(struct exo_kr *kr, uint64_t offset)
{
    exo_lock_acquire(&kr->table_lock);
    put_locked(kr, &kr->free_tables, offsetof(struct exo_fd_table, next_free), offset);
    exo_lock_release(&kr->table_lock);
    store_release(&me(kr)->held_table, 0);
}

static uint64_t table_create(struct exo_kr *kr, uint32_t size_class)
{
    uint64_t offset = table_take(kr);
    if (offset == 0)
        return 0;
    uint64_t entries = exo_array_create(kr, size_class);
    if (entries == 0) {
        table_put(kr, offset);
        return 0;
    }
    struct exo_fd_table *table = exo_table_at(kr, offset);
    table->users = 1;
    table->class_ = size_class;
    table->count = EXO_FD_BASE_COUNT << size_class;
    store_release(&table->entries, entries);
    exo_array_given(kr);
    return offset;
}

uint64_t exo_fd_table_create(struct exo_kr *kr)
{
    return table_create(kr, 0);
}

static bool is_object(struct exo_fd entry)
{
    return entry.host >= 0 && (entry.flags & EXO_FD_OBJECT);
}

/* An entry for another table, which is to have it before the hold ends; it may be closed meanwhile. */
static struct exo_fd copy_of(struct exo_kr *kr, const struct exo_fd *from)
{
    uint64_t whole = load_acquire((const uint64_t *)from);
    struct exo_fd entry;
    memcpy(&entry, &whole, sizeof(entry));
    if (is_object(entry))
        exo_object_hold(kr, entry.stamp);
    if (entry.host < 0 || (is_object(entry) && !exo_object_ref(kr, from, entry)))
        return (struct exo_fd){.host = EXO_FD_HOST_FREE};
    return entry;
}

/* What is there from an earlier try goes. */
static void copy_entry(struct exo_kr *kr, struct exo_fd *to, const struct exo_fd *from)
{
    struct exo_fd was = *to;
    if (is_object(was)) {
        if (memcmp(to, from, sizeof(*to)) == 0)
            return;
        exo_object_hold(kr, was.stamp);
        store_release(&to->host, EXO_FD_HOST_FREE);
        exo_object_uncount(kr, was);
    }
    *to = copy_of(kr, from);
    if (is_object(was) || is_object(*to))
        exo_object_hold(kr, 0);
}

/* Both have the same size; to is nobody else's. */
static void copy_entries(struct exo_kr *kr, struct exo_fd_table *to,
                         const struct exo_fd_table *from)
{
    static const struct exo_fd none = {.host = EXO_FD_HOST_FREE};
    const struct exo_fd *source = exo_kr_at(kr, from->entries);
    struct exo_fd *target = exo_kr_at(kr, to->entries);
    uint32_t used = from->used > to->used ? from->used : to->used;
    store_release(&to->used, used); /* who counts entries is to see each as soon as it is there */
    for (uint32_t i = 0; i < used; i++)
        copy_entry(kr, &target[i], i < from->used ? &source[i] : &none);
    to->used = from->used;
    to->first_free = 0;
}

uint64_t exo_fd_table_clone(struct exo_kr *kr, uint64_t table)
{
    struct exo_fd_table *from = exo_table_at(kr, table);
    uint64_t offset;
    for (;;) {
        uint32_t size_class = load_acquire(&from->class_);
        offset = table_create(kr, size_class);
        if (offset == 0)
            return 0;
        exo_lock_acquire(&from->lock);
        exo_table_repair_locked(from);
        if (from->class_ == size_class)
            break;
        exo_lock_release(&from->lock); /* grew in between: once more */
        exo_table_recycle(kr, offset);
    }
    copy_entries(kr, exo_table_at(kr, offset), from);
    exo_lock_release(&from->lock);
    return offset;
}

bool exo_fd_table_copy_begin(struct exo_kr *kr, uint64_t to, uint64_t from)
{
    struct exo_fd_table *source = exo_table_at(kr, from), *target = exo_table_at(kr, to);
    exo_lock_acquire(&source->lock);
    exo_table_repair_locked(source);
    if (source->class_ != target->class_) {
        exo_lock_release(&source->lock);
        return false;
    }
    copy_entries(kr, target, source);
    return true;
}

void exo_fd_table_copy_end(struct exo_kr *kr, uint64_t from, struct exo_self *owner)
{
    exo_lock_release_for(&exo_table_at(kr, from)->lock, owner);
}

/* Nobody has the table's fds any more. */
static void drop_objects(struct exo_kr *kr, struct exo_fd_table *table)
{
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    for (uint32_t i = 0; i < table->used && i < table->count; i++) {
        struct exo_fd entry = entries[i];
        if (!is_object(entry))
            continue;
        exo_object_hold(kr, entry.stamp);
        store_release(&entries[i].host, EXO_FD_HOST_FREE); /* who goes on after us finds it done */
        exo_object_unref(kr, entry);
        exo_object_hold(kr, 0);
    }
}

void exo_table_recycle(struct exo_kr *kr, uint64_t offset)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    exo_table_repair_locked(table);
    drop_objects(kr, table);
    exo_array_free(kr, table->entries, table->class_);
    for (uint32_t i = 0; i < table->class_; i++)
        if (table->outgrown[i] != 0)
            exo_array_free(kr, table->outgrown[i], i);
    table_put(kr, offset);
}

/* One user less; the table, in our hand, if that was the last. */
static uint64_t drop_locked(struct exo_kr *kr, uint64_t table)
{
    if (table == 0 || --exo_table_at(kr, table)->users != 0)
        return 0;
    return table;
}

uint64_t exo_table_detach_locked(struct exo_kr *kr, uint32_t slot)
{
    uint64_t table = kr->tasks[slot].fd_table;
    if (table == 0)
        return 0;
    store_release(&me(kr)->held_table, (uint32_t)table);
    store_release(&kr->tasks[slot].fd_table, 0);
    uint64_t last = drop_locked(kr, table);
    if (last == 0)
        store_release(&me(kr)->held_table, 0);
    return last;
}

void exo_fd_table_release(struct exo_kr *kr, uint64_t table)
{
    exo_lock_acquire(&kr->task_lock);
    store_release(&me(kr)->held_table, (uint32_t)table);
    uint64_t last = drop_locked(kr, table);
    exo_lock_release(&kr->task_lock);
    if (last != 0)
        exo_table_recycle(kr, last);
    store_release(&me(kr)->held_table, 0);
}

void exo_fd_table_give(struct exo_kr *kr, uint32_t slot, uint64_t table)
{
    store_release(&kr->tasks[slot].fd_table, table);
    store_release(&me(kr)->held_table, 0);
}

void exo_fd_table_share(struct exo_kr *kr, uint32_t slot, uint64_t table)
{
    store_release(&me(kr)->held_table, (uint32_t)table);
    exo_lock_acquire(&kr->task_lock);
    exo_table_at(kr, table)->users++;
    store_release(&kr->tasks[slot].fd_table, table);
    exo_lock_release(&kr->task_lock);
    store_release(&me(kr)->held_table, 0);
}

void exo_fd_table_replace(struct exo_kr *kr, uint32_t slot, uint64_t table)
{
    exo_lock_acquire(&kr->task_lock);
    uint64_t old = exchange(&kr->tasks[slot].fd_table, table);
    store_release(&me(kr)->held_table, (uint32_t)old);
    uint64_t last = drop_locked(kr, old);
    exo_lock_release(&kr->task_lock);
    if (last != 0)
        exo_table_recycle(kr, last);
    store_release(&me(kr)->held_table, 0);
}

void exo_fd_table_swap(struct exo_kr *kr, uint32_t slot, uint32_t with)
{
    struct exo_task *one = &kr->tasks[slot], *other = &kr->tasks[with];
    exo_lock_acquire(&kr->task_lock);
    store_release(&me(kr)->held_table, (uint32_t)one->fd_table);
    store_release(&one->fd_table, other->fd_table);
    store_release(&other->fd_table, (uint64_t)me(kr)->held_table);
    store_release(&me(kr)->held_table, 0);
    exo_lock_release(&kr->task_lock);
}
