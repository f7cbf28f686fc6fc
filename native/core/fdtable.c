/* Fd tables: the guest's fd numbers and the host fds behind them.
 *
 * Rules: numbers are taken and given back under the table's lock; an entry is read without it, and
 * replaced by one 8-byte store. A table grows into a new array; the old one stays readable until
 * the table is freed, since a reader may be in it. Lock order: a table's lock, or table_lock, never
 * both (a thread holds one lock at a time), so growing prepares the array first.
 */
#include <asm-generic/errno.h>

#include <exo/core.h>

#include "atomic.h"
#include "mem.h"

static struct exo_fd_table *table_at(struct exo_kr *kr, uint64_t table)
{
    return exo_kr_at(kr, table);
}

/* One store, so that readers without the lock never see half an entry. */
static void entry_set(struct exo_fd *at, struct exo_fd entry)
{
    uint64_t whole;
    memcpy(&whole, &entry, sizeof(whole));
    store_release((uint64_t *)at, whole);
}

static uint64_t heap_take_locked(struct exo_kr *kr, uint64_t size)
{
    uint64_t offset = kr->heap_next;
    if (offset <= EXO_NEAR_HEAP_SIZE && offset + size > EXO_NEAR_HEAP_SIZE)
        offset = (sizeof(struct exo_kr) + 4095) & ~4095UL;
    if (offset + size > kr->size)
        return 0;
    kr->heap_next = offset + ((size + 63) & ~63UL);
    return offset;
}

/* An array of EXO_FD_BASE_COUNT << size_class entries, all free; 0 when the region is full. */
static uint64_t array_create(struct exo_kr *kr, uint32_t size_class)
{
    uint64_t count = (uint64_t)EXO_FD_BASE_COUNT << size_class;
    exo_lock_acquire(&kr->table_lock);
    uint64_t offset = kr->free_arrays[size_class];
    if (offset != 0)
        kr->free_arrays[size_class] = *(uint64_t *)exo_kr_at(kr, offset);
    else
        offset = heap_take_locked(kr, count * sizeof(struct exo_fd));
    exo_lock_release(&kr->table_lock);
    if (offset != 0) {
        struct exo_fd *entries = exo_kr_at(kr, offset);
        for (uint64_t i = 0; i < count; i++)
            entries[i] = (struct exo_fd){.host = EXO_FD_HOST_FREE};
    }
    return offset;
}

static void array_free(struct exo_kr *kr, uint64_t offset, uint32_t size_class)
{
    exo_lock_acquire(&kr->table_lock);
    *(uint64_t *)exo_kr_at(kr, offset) = kr->free_arrays[size_class];
    kr->free_arrays[size_class] = offset;
    exo_lock_release(&kr->table_lock);
}

static uint64_t table_take(struct exo_kr *kr)
{
    exo_lock_acquire(&kr->table_lock);
    uint64_t offset = kr->free_tables;
    if (offset != 0)
        kr->free_tables = table_at(kr, offset)->next_free;
    else
        offset = heap_take_locked(kr, sizeof(struct exo_fd_table));
    exo_lock_release(&kr->table_lock);
    return offset;
}

static uint64_t table_create(struct exo_kr *kr, uint32_t size_class)
{
    uint64_t offset = table_take(kr);
    uint64_t entries = array_create(kr, size_class);
    if (offset == 0 || entries == 0)
        return 0;
    struct exo_fd_table *table = table_at(kr, offset);
    memset(table, 0, sizeof(*table));
    table->users = 1;
    table->class_ = size_class;
    table->count = EXO_FD_BASE_COUNT << size_class;
    table->entries = entries;
    return offset;
}

uint64_t exo_fd_table_create(struct exo_kr *kr)
{
    return table_create(kr, 0);
}

/* Both have the same size; to is nobody else's. */
static void copy_entries(struct exo_kr *kr, struct exo_fd_table *to,
                         const struct exo_fd_table *from)
{
    const struct exo_fd *source = exo_kr_at(kr, from->entries);
    struct exo_fd *target = exo_kr_at(kr, to->entries);
    uint32_t used = from->used > to->used ? from->used : to->used;
    for (uint32_t i = 0; i < used; i++)
        target[i] = i < from->used && source[i].host >= 0
                        ? source[i]
                        : (struct exo_fd){.host = EXO_FD_HOST_FREE};
    to->used = from->used;
    to->first_free = 0;
}

uint64_t exo_fd_table_clone(struct exo_kr *kr, uint64_t table)
{
    struct exo_fd_table *from = table_at(kr, table);
    uint64_t offset;
    for (;;) {
        uint32_t size_class = load_acquire(&from->class_);
        offset = table_create(kr, size_class);
        if (offset == 0)
            return 0;
        exo_lock_acquire(&from->lock);
        if (from->class_ == size_class)
            break;
        exo_lock_release(&from->lock); /* grew in between: once more */
        exo_fd_table_release(kr, offset);
    }
    copy_entries(kr, table_at(kr, offset), from);
    exo_lock_release(&from->lock);
    return offset;
}

bool exo_fd_table_copy_begin(struct exo_kr *kr, uint64_t to, uint64_t from)
{
    struct exo_fd_table *source = table_at(kr, from), *target = table_at(kr, to);
    exo_lock_acquire(&source->lock);
    if (source->class_ != target->class_) {
        exo_lock_release(&source->lock);
        return false;
    }
    copy_entries(kr, target, source);
    return true;
}

void exo_fd_table_copy_end(struct exo_kr *kr, uint64_t from, struct exo_self *owner)
{
    exo_lock_release_for(&table_at(kr, from)->lock, owner);
}

void exo_fd_table_release(struct exo_kr *kr, uint64_t offset)
{
    struct exo_fd_table *table = table_at(kr, offset);
    if (__atomic_sub_fetch(&table->users, 1, __ATOMIC_SEQ_CST) != 0)
        return;
    array_free(kr, table->entries, table->class_);
    for (uint32_t i = 0; i < table->class_; i++)
        if (table->outgrown[i] != 0)
            array_free(kr, table->outgrown[i], i);
    exo_lock_acquire(&kr->table_lock);
    table->next_free = kr->free_tables;
    kr->free_tables = offset;
    exo_lock_release(&kr->table_lock);
}

struct exo_fd *exo_fd_at(struct exo_kr *kr, uint64_t offset, int fd)
{
    struct exo_fd_table *table = table_at(kr, offset);
    if ((uint32_t)fd >= load_acquire(&table->count))
        return NULL;
    return (struct exo_fd *)exo_kr_at(kr, load_acquire(&table->entries)) + fd;
}

/* Replaces the array by one that has number fd; entries is published before count. */
static int table_grow(struct exo_kr *kr, struct exo_fd_table *table, uint32_t fd)
{
    uint32_t size_class = load_acquire(&table->class_);
    while (((uint64_t)EXO_FD_BASE_COUNT << size_class) <= fd)
        size_class++;
    if (size_class >= EXO_TABLE_CLASS_COUNT)
        return -EMFILE;
    uint64_t array = array_create(kr, size_class);
    if (array == 0)
        return -ENFILE;
    exo_lock_acquire(&table->lock);
    bool late = table->class_ >= size_class; /* somebody else grew it */
    if (!late) {
        memcpy(exo_kr_at(kr, array), exo_kr_at(kr, table->entries),
               table->count * sizeof(struct exo_fd));
        table->outgrown[table->class_] = table->entries;
        store_release(&table->entries, array);
        store_release(&table->class_, size_class);
        store_release(&table->count, EXO_FD_BASE_COUNT << size_class);
    }
    exo_lock_release(&table->lock);
    if (late)
        array_free(kr, array, size_class);
    return 0;
}

static uint32_t find_free_locked(struct exo_kr *kr, struct exo_fd_table *table, uint32_t lowest)
{
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    uint32_t fd = lowest > table->first_free ? lowest : table->first_free;
    while (fd < table->count && entries[fd].host != EXO_FD_HOST_FREE)
        fd++;
    if (fd < table->count) {
        entry_set(&entries[fd], (struct exo_fd){.host = EXO_FD_HOST_RESERVED});
        if (lowest <= table->first_free)
            table->first_free = fd + 1;
        if (fd >= table->used)
            table->used = fd + 1;
    }
    return fd;
}

int exo_fd_reserve(struct exo_kr *kr, uint64_t offset, uint32_t lowest, uint64_t limit)
{
    struct exo_fd_table *table = table_at(kr, offset);
    for (;;) {
        exo_lock_acquire(&table->lock);
        uint32_t count = table->count;
        uint32_t fd = find_free_locked(kr, table, lowest);
        exo_lock_release(&table->lock);
        if (fd < count && fd < limit)
            return (int)fd;
        if (fd < count)
            exo_fd_unreserve(kr, offset, (int)fd);
        if (fd >= limit)
            return -EMFILE;
        int error = table_grow(kr, table, fd);
        if (error != 0)
            return error;
    }
}

int exo_fd_ensure(struct exo_kr *kr, uint64_t offset, int fd, uint64_t limit)
{
    struct exo_fd_table *table = table_at(kr, offset);
    if (fd < 0 || (uint64_t)fd >= limit)
        return -EBADF;
    if ((uint32_t)fd < load_acquire(&table->count))
        return 0;
    return table_grow(kr, table, (uint32_t)fd);
}

void exo_fd_install(struct exo_kr *kr, uint64_t offset, int fd, int host, uint16_t flags)
{
    struct exo_fd_table *table = table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    entry_set(&entries[fd], (struct exo_fd){.host = host, .flags = flags});
    if ((uint32_t)fd >= table->used)
        table->used = (uint32_t)fd + 1;
    exo_lock_release(&table->lock);
}

void exo_fd_unreserve(struct exo_kr *kr, uint64_t offset, int fd)
{
    struct exo_fd_table *table = table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    entry_set(&entries[fd], (struct exo_fd){.host = EXO_FD_HOST_FREE});
    if ((uint32_t)fd < table->first_free)
        table->first_free = (uint32_t)fd;
    exo_lock_release(&table->lock);
}
