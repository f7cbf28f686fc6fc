/* The entries of fd tables: the guest's fd numbers and the host fds behind them.
 *
 * Rules: numbers are taken and given back under the table's lock; an entry is read without it, and
 * replaced by one 8-byte store. A table grows into a new array; the old one stays readable until
 * the table is freed, since a reader may be in it. Lock order: a table's lock, or table_lock, never
 * both (a thread holds one lock at a time), so growing prepares the array first. Whoever is killed
 * on the way leaves numbers and hints that are right, at worst pessimistic.
 */
#include <asm-generic/errno.h>

#include "atomic.h"
#include "mem.h"
#include "objects.h"
#include "tables.h"

/* One store, so that readers without the lock never see half an entry. */
static void entry_set(struct exo_fd *at, struct exo_fd entry)
{
    uint64_t whole;
    memcpy(&whole, &entry, sizeof(whole));
    store_release((uint64_t *)at, whole);
}

struct exo_fd *exo_fd_at(struct exo_kr *kr, uint64_t offset, int fd)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    if ((uint32_t)fd >= load_acquire(&table->count))
        return NULL;
    return (struct exo_fd *)exo_kr_at(kr, load_acquire(&table->entries)) + fd;
}

void exo_table_repair_locked(struct exo_fd_table *table)
{
    uint32_t size_class = table->growing;
    if (size_class == 0)
        return;
    uint64_t *old = &table->outgrown[table->class_];
    if (table->class_ < size_class && table->entries == *old)
        *old = 0; /* the larger array is not there yet, and stays in the hand of the dead */
    else if (table->class_ < size_class && *old != 0)
        table->class_ = size_class;
    if (table->class_ == size_class)
        store_release(&table->count, EXO_FD_BASE_COUNT << size_class);
    table->growing = 0;
}

/* Replaces the array by one that has number fd; entries is published before count. */
static int table_grow(struct exo_kr *kr, struct exo_fd_table *table, uint32_t fd)
{
    uint32_t size_class = load_acquire(&table->class_);
    while (((uint64_t)EXO_FD_BASE_COUNT << size_class) <= fd)
        size_class++;
    if (size_class >= EXO_TABLE_CLASS_COUNT)
        return -EMFILE;
    uint64_t array = exo_array_create(kr, size_class);
    if (array == 0)
        return -ENFILE;
    exo_lock_acquire(&table->lock);
    exo_table_repair_locked(table);
    bool late = table->class_ >= size_class; /* somebody else grew it */
    if (!late) {
        memcpy(exo_kr_at(kr, array), exo_kr_at(kr, table->entries),
               table->count * sizeof(struct exo_fd));
        store_release(&table->growing, size_class);
        store_release(&table->outgrown[table->class_], table->entries);
        store_release(&table->entries, array);
        store_release(&table->class_, size_class);
        store_release(&table->count, EXO_FD_BASE_COUNT << size_class);
        store_release(&table->growing, 0);
    }
    exo_lock_release(&table->lock);
    if (late)
        exo_array_free(kr, array, size_class);
    exo_array_given(kr);
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
    struct exo_fd_table *table = exo_table_at(kr, offset);
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
    struct exo_fd_table *table = exo_table_at(kr, offset);
    if (fd < 0 || (uint64_t)fd >= limit)
        return -EBADF;
    if ((uint32_t)fd < load_acquire(&table->count))
        return 0;
    return table_grow(kr, table, (uint32_t)fd);
}

void exo_fd_put(struct exo_kr *kr, uint64_t offset, int fd, struct exo_fd entry)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    if ((uint32_t)fd >= table->used)
        store_release(&table->used, (uint32_t)fd + 1);
    entry_set(&entries[fd], entry);
    exo_lock_release(&table->lock);
}

void exo_fd_install(struct exo_kr *kr, uint64_t offset, int fd, int host, uint16_t flags)
{
    exo_fd_put(kr, offset, fd, (struct exo_fd){.host = host, .flags = flags});
}

static void free_locked(struct exo_fd_table *table, struct exo_fd *entry, uint32_t fd)
{
    if (fd < table->first_free)
        store_release(&table->first_free, fd);
    entry_set(entry, (struct exo_fd){.host = EXO_FD_HOST_FREE});
}

void exo_fd_unreserve(struct exo_kr *kr, uint64_t offset, int fd)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entries = exo_kr_at(kr, table->entries);
    free_locked(table, &entries[fd], (uint32_t)fd);
    exo_lock_release(&table->lock);
}

static struct exo_fd now(const struct exo_fd *at)
{
    uint64_t whole = load_acquire((const uint64_t *)at);
    struct exo_fd entry;
    memcpy(&entry, &whole, sizeof(entry));
    return entry;
}

bool exo_fd_take_away(struct exo_kr *kr, uint64_t offset, int fd, struct exo_fd *gone)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entry = (struct exo_fd *)exo_kr_at(kr, table->entries) + fd, is = now(entry);
    bool same = exo_fd_same(is, *gone);
    if (same)
        free_locked(table, entry, (uint32_t)fd);
    exo_lock_release(&table->lock);
    *gone = is;
    return same;
}

/* Where the entry at this place, perhaps of an array that was outgrown, stands now; NULL: nowhere. */
static struct exo_fd *current_locked(struct exo_kr *kr, struct exo_fd_table *table,
                                     struct exo_fd *at)
{
    for (uint32_t i = 0; i <= EXO_TABLE_CLASS_COUNT; i++) {
        bool last = i == EXO_TABLE_CLASS_COUNT;
        uint64_t array = last ? table->entries : table->outgrown[i];
        uint64_t count = last ? table->count : (uint64_t)EXO_FD_BASE_COUNT << i;
        struct exo_fd *from = exo_kr_at(kr, array);
        if (array != 0 && at >= from && at < from + count)
            return (struct exo_fd *)exo_kr_at(kr, table->entries) + (at - from);
    }
    return NULL;
}

bool exo_fd_change(struct exo_kr *kr, uint64_t offset, struct exo_fd *at, struct exo_fd was,
                   struct exo_fd becomes)
{
    struct exo_fd_table *table = exo_table_at(kr, offset);
    exo_lock_acquire(&table->lock);
    struct exo_fd *entry = current_locked(kr, table, at);
    uint64_t old, new;
    memcpy(&old, &was, sizeof(old));
    memcpy(&new, &becomes, sizeof(new));
    bool done = entry != NULL && compare_exchange((uint64_t *)entry, &old, new);
    if (entry != NULL && entry != at) /* who looks there sees it, too */
        entry_set(at, now(entry));
    exo_lock_release(&table->lock);
    return done;
}
