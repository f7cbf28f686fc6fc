/* The allocator's guard and poison modes, for tests: each object has its size and a check behind it,
 * and what is free is filled. Nothing is cached, so a slab's bits tell at once what is free.
 */
#include "alloc.h"

#define CHECK 0x9e3779b97f4a7c15UL
#define FREED 0xc2b2ae3d27d4eb4fUL
#define BEHIND 0xfd /* between an object's end and its record */
#define FREE_BYTE 0xdf

/* At the end of an object's room. */
struct record {
    uint64_t size, check;
};

static struct record *record_of(struct exo_heap_user *user, uint64_t offset, uint64_t room)
{
    return (struct record *)(user->base + offset + room) - 1;
}

static bool is_filled(const char *at, const char *end, char byte)
{
    while (at < end && *at == byte)
        at++;
    return at >= end;
}

/* The room of the object that begins at offset; 0: none does. */
static uint64_t room_at(struct exo_heap_user *user, uint64_t offset)
{
    uint64_t chunk = offset / CHUNK_SIZE;
    if (class_in(user, chunk) == 0)
        return exo_large_size(user, offset);
    const struct exo_slab *slab = slab_at(user, (uint32_t)chunk);
    uint32_t index = index_in(slab, offset);
    return index < slab->count && (uint64_t)index * slab->size == offset % CHUNK_SIZE ? slab->size
                                                                                      : 0;
}

static bool is_free(struct exo_heap_user *user, uint64_t offset)
{
    uint64_t chunk = offset / CHUNK_SIZE;
    if (class_in(user, chunk) == 0)
        return false;
    const struct exo_slab *slab = slab_at(user, (uint32_t)chunk);
    uint32_t index = index_in(slab, offset);
    return load_acquire(&slab->bits[index / 64]) >> index % 64 & 1;
}

static bool was_written(struct exo_heap_user *user, uint64_t offset, uint64_t room)
{
    const struct record *record = record_of(user, offset, room);
    if (!(user->flags & EXO_HEAP_POISON) || record->check != (FREED ^ offset))
        return false; /* never used, or not since this was made a slab */
    return !is_filled(user->base + offset, (const char *)record, (char)FREE_BYTE);
}

uint64_t exo_guard_alloc(struct exo_heap_user *user, uint64_t size, uint64_t align)
{
    bool clean;
    size += size == 0; /* or its room would be none */
    uint64_t whole = size + sizeof(struct record);
    uint32_t class_ = exo_class_aligned(whole, align);
    if (whole < size)
        return 0;
    uint64_t offset =
        class_ != 0 ? exo_slab_take(user, class_) : exo_large_alloc(user, whole, align, &clean);
    if (offset == 0)
        return 0;
    uint64_t room = class_ != 0 ? class_size(class_) : exo_large_size(user, offset);
    struct record *record = record_of(user, offset, room);
    if (class_ != 0 && was_written(user, offset, room)) {
        user->error = -EUCLEAN;
        user->result = offset;
        return 0;
    }
    record->size = size;
    record->check = CHECK ^ size ^ offset;
    memset(user->base + offset + size, BEHIND, room - whole);
    return offset;
}

int exo_guard_free(struct exo_heap_user *user, uint64_t offset)
{
    uint64_t room = room_at(user, offset);
    bool large = class_in(user, offset / CHUNK_SIZE) == 0;
    if (room == 0)
        return large ? exo_large_free(user, offset) : -EFAULT;
    if (is_free(user, offset))
        return -EALREADY;
    struct record *record = record_of(user, offset, room);
    const char *end = user->base + offset + record->size;
    if (record->check != (CHECK ^ record->size ^ offset) || record->size > room - sizeof(*record) ||
        !is_filled(end, (const char *)record, (char)BEHIND))
        return -EOVERFLOW;
    record->check = large ? 0 : FREED ^ offset; /* a slab may come to where it was */
    if (large)
        return exo_large_free(user, offset);
    if (user->flags & EXO_HEAP_POISON)
        memset(user->base + offset, FREE_BYTE, room - sizeof(*record));
    return exo_slab_put(user, offset);
}

uint64_t exo_guard_usable(struct exo_heap_user *user, uint64_t offset)
{
    uint64_t room = room_at(user, offset);
    if (room == 0 || is_free(user, offset))
        return 0;
    const struct record *record = record_of(user, offset, room);
    return record->size <= room - sizeof(*record) ? record->size : 0;
}

const char *exo_heap_complaint(int error)
{
    switch (error) {
    case -EFAULT:
        return "free of what is no object";
    case -EALREADY:
        return "double free";
    case -EOVERFLOW:
        return "written beyond an object's end";
    case -EUCLEAN:
        return "written to after free";
    default:
        return NULL;
    }
}
