/* What fds lead to and lives in the kernel region: making it, and who has it: entries of fd tables, and
 * nothing else.
 *
 * Rules: an entry is counted before it stands in a table, and no longer counted when it is gone, so a
 * count is never too small, whoever is killed; an object that nobody has is free. An entry's host fd
 * is closed after that: who learns from the host that nobody is left finds the counts so.
 * What was killed in between is found by the kernel process (host/collectobjects.c).
 */
#include "objects.h"
#include "atomic.h"
#include "mem.h"
#include "sock.h"
#include "watch.h"

#define ROW(kind, from, many, array)                                                               \
    [kind] = {.first = (from),                                                                     \
              .count = (many),                                                                     \
              .at = offsetof(struct exo_kr, array),                                                \
              .stride = sizeof(((struct exo_kr *)0)->array[0])}

const struct exo_kind_row exo_kinds[EXO_KIND_COUNT] = {
    ROW(EXO_KIND_PIPE, 0, EXO_PIPE_COUNT, pipes),
    ROW(EXO_KIND_SOCK, EXO_PIPE_COUNT, EXO_SOCK_COUNT, socks),
    ROW(EXO_KIND_EVENT, EXO_EVENT_FIRST, EXO_EVENT_COUNT, events),
    ROW(EXO_KIND_EPOLL, EXO_EPOLL_FIRST, EXO_EPOLL_COUNT, epolls),
};

#define BEGINS_AS_OBJECT(type)                                                                     \
    _Static_assert(offsetof(type, lock) == offsetof(struct exo_object, lock) &&                    \
                       offsetof(type, ends) == offsetof(struct exo_object, ends) &&                \
                       offsetof(type, next_free) == offsetof(struct exo_object, next_free) &&      \
                       offsetof(type, mode) == offsetof(struct exo_object, mode),                  \
                   #type " begins as struct exo_object")

BEGINS_AS_OBJECT(struct exo_pipe);
BEGINS_AS_OBJECT(struct exo_sock);
_Static_assert(sizeof(struct exo_sock) % 64 == 0, "sockets share no lines");
_Static_assert(sizeof(struct exo_pipe) == 384 && offsetof(struct exo_pipe, input) == 128 &&
                   offsetof(struct exo_pipe, head) == 192 &&
                   offsetof(struct exo_pipe, output) == 256 &&
                   offsetof(struct exo_pipe, tail) == 320 && sizeof(struct exo_pipe_page) == 8,
               "lines of pipes");
BEGINS_AS_OBJECT(struct exo_event);
BEGINS_AS_OBJECT(struct exo_epoll);

enum exo_kind exo_object_kind(uint32_t number)
{
    enum exo_kind kind = 0;
    while (kind + 1 < EXO_KIND_COUNT && number >= exo_kinds[kind + 1].first)
        kind++;
    return kind;
}

struct exo_object *exo_object_at(struct exo_kr *kr, uint32_t number)
{
    const struct exo_kind_row *row = &exo_kinds[exo_object_kind(number)];
    return exo_kr_at(kr, row->at + (number - row->first) % row->count * row->stride);
}

/* What an entry counts for; with every change the whole word is another one, for who compares. */
static uint64_t share_of(struct exo_fd entry)
{
    return entry.flags & EXO_FD_PIPE_WRITES ? 1ULL << EXO_ENDS_BITS : 1;
}

static uint64_t share_mask(struct exo_fd entry)
{
    return share_of(entry) * EXO_ENDS_MASK;
}

/* A socket or set that is on its way in a message is there still, and watched. */
static bool flies(struct exo_fd entry, uint64_t ends)
{
    return (entry.flags & (EXO_FD_SOCKET | EXO_FD_EPOLL)) &&
           (ends & (uint64_t)EXO_ENDS_MASK << EXO_ENDS_BITS) != 0;
}

/* The ends that are left. Whoever takes the last sees to it that nobody watches it, while it is still
 * there: then it may be another's. */
static uint64_t take_away(struct exo_kr *kr, struct exo_fd entry)
{
    uint64_t *ends = &exo_object_at(kr, entry.stamp)->ends, was = load_relaxed(ends);
    bool left = false;
    for (;;) {
        bool last = (was & share_mask(entry)) == share_of(entry) && !flies(entry, was);
        if (last && !left) {
            exo_object_leave(kr, exo_object_of(entry));
            left = true;
        }
        if (compare_exchange(ends, &was, was + EXO_ENDS_CHANGE - share_of(entry)))
            break;
    }
    uint64_t now = was + EXO_ENDS_CHANGE - share_of(entry);
    if (left && (now & share_mask(entry)) == 0)
        exo_object_left(kr, exo_object_of(entry));
    return now;
}

/* Without that, for who holds a lock. */
static uint64_t count_down(struct exo_kr *kr, struct exo_fd entry)
{
    uint64_t change = EXO_ENDS_CHANGE - share_of(entry);
    return fetch_add(&exo_object_at(kr, entry.stamp)->ends, change) + change;
}

void exo_object_hold(struct exo_kr *kr, uint32_t number)
{
    store_release(&kr->tasks[exo_self()->slot].held_objects, number);
}

/* How many there may be: rings of sockets are not all mapped where memory is limited. */
static uint32_t count_of(const struct exo_kr *kr, enum exo_kind kind)
{
    bool all = kind != EXO_KIND_SOCK || kr->size != EXO_KR_LIMITED_SIZE;
    return all ? exo_kinds[kind].count : EXO_SOCK_LIMITED_COUNT;
}

/* The next free one of a kind, or one that was never used; held before it is gone. 0: none. */
static uint32_t take_locked(struct exo_kr *kr, enum exo_kind kind)
{
    const struct exo_kind_row *row = &exo_kinds[kind];
    uint32_t number = kr->free_objects[kind], used = kr->object_high[kind];
    uint32_t other = kr->tasks[exo_self()->slot].held_objects & 0xffff0000;
    if (number >= row->first && number < row->first + row->count && number != 0) {
        exo_object_hold(kr, number | other);
        kr->free_objects[kind] = exo_object_at(kr, number)->next_free;
        return number;
    }
    if (used + 1 >= count_of(kr, kind))
        return 0;
    exo_object_hold(kr, (row->first + used + 1) | other);
    kr->object_high[kind] = used + 1;
    return row->first + used + 1;
}

uint32_t exo_object_create(struct exo_kr *kr, enum exo_kind kind, uint32_t mode, uint64_t ends)
{
    exo_lock_acquire(&kr->object_lock);
    uint32_t number = take_locked(kr, kind);
    if (number != 0) {
        struct exo_object *object = exo_object_at(kr, number);
        /* An old reading of an entry may lead here: what counts is never touched but by a count. */
        memset(&object->mode, 0, exo_kinds[kind].stride - offsetof(struct exo_object, mode));
        fetch_add(&object->ends, EXO_ENDS_CHANGE + ends);
        store_release(&object->mode, mode);
    } else {
        store_release(&kr->left_behind, 1); /* or so many are in use, indeed */
    }
    exo_lock_release(&kr->object_lock);
    return number;
}

bool exo_object_ref(struct exo_kr *kr, const struct exo_fd *entry, struct exo_fd as)
{
    uint64_t *ends = &exo_object_at(kr, as.stamp)->ends, was = load_relaxed(ends);
    uint64_t share = share_of(as), all = share * EXO_ENDS_MASK;
    do {
        if ((was & all) == 0 || (was & all) == all)
            return false;
    } while (!compare_exchange(ends, &was, was + EXO_ENDS_CHANGE + share));
    /* The object may have gone, and be another one by now, only if the entry has gone before. */
    uint64_t whole = load_acquire((const uint64_t *)entry);
    struct exo_fd now;
    memcpy(&now, &whole, sizeof(now));
    if (exo_fd_same(now, as))
        return true;
    exo_object_uncount(kr, as);
    return false;
}

static bool is_last(uint64_t ends, struct exo_fd gone)
{
    return (ends & share_mask(gone)) == 0;
}

void exo_object_uncount(struct exo_kr *kr, struct exo_fd gone)
{
    if (is_last(count_down(kr, gone), gone))
        store_release(&kr->left_behind, 1);
}

void exo_object_free(struct exo_kr *kr, uint32_t number)
{
    exo_lock_acquire(&kr->object_lock);
    const struct exo_object *object = exo_object_at(kr, number);
    if (load_relaxed(&object->ends) % EXO_ENDS_CHANGE == 0 && object->mode != 0)
        exo_object_free_locked(kr, number);
    exo_lock_release(&kr->object_lock);
}

void exo_object_free_locked(struct exo_kr *kr, uint32_t number)
{
    enum exo_kind kind = exo_object_kind(number);
    struct exo_object *object = exo_object_at(kr, number);
    store_release(&object->mode, 0);
    object->next_free = kr->free_objects[kind];
    store_release(&kr->free_objects[kind], number);
}

void exo_object_unref(struct exo_kr *kr, struct exo_fd gone)
{
    if (take_away(kr, gone) % EXO_ENDS_CHANGE != 0) /* or a message has it */
        return;
    if (exo_object_kind(gone.stamp) == EXO_KIND_SOCK)
        exo_sock_part(kr, gone.stamp);
    exo_object_free(kr, gone.stamp);
}
