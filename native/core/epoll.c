/* Epoll sets: what they watch, and what of it is ready.
 *
 * A set's watches stand in groups of 64; a bit each says which are to be looked at, and one more per
 * group which groups. Who changes an object sets them (watch.c); who waits takes them and looks at the
 * objects themselves, so a bit too many is nothing but a look too many.
 *
 * Rules: a set's lock guards its groups and what its watches ask for; objects are looked at without
 * their locks. A bit is taken before the object is looked at. Locks are held one at a time.
 */
#include "epoll.h"

#include <asm-generic/errno.h>

#include "atomic.h"

/* A group for a set, which is to get it under its lock; 0: none is left. */
static uint32_t take_group(struct exo_kr *kr, uint32_t set)
{
    exo_lock_acquire(&kr->group_lock);
    uint32_t index = kr->free_group % EXO_WATCH_GROUP_COUNT;
    if (index != 0)
        kr->free_group = exo_epoll_group_at(kr, index)->next_free;
    else if (kr->group_high + 1 < EXO_WATCH_GROUP_COUNT)
        index = ++kr->group_high;
    if (index != 0) {
        store_release(&exo_epoll_group_at(kr, index)->used, 0);
        store_release(&exo_epoll_group_at(kr, index)->ready, 0);
        store_release(&exo_epoll_group_at(kr, index)->timers, 0);
        store_release(&exo_epoll_group_at(kr, index)->stale, 0);
        store_release(&exo_epoll_group_at(kr, index)->deadline, 0);
        store_release(&exo_epoll_group_at(kr, index)->set, set);
    }
    exo_lock_release(&kr->group_lock);
    return index;
}

void exo_epoll_free_group(struct exo_kr *kr, uint32_t index)
{
    struct exo_watch_group *group = exo_epoll_group_at(kr, index);
    exo_lock_acquire(&kr->group_lock);
    if (group->set != 0) {
        store_release(&group->set, 0);
        group->next_free = kr->free_group;
        store_release(&kr->free_group, index);
    }
    exo_lock_release(&kr->group_lock);
}

/* A free watch of the set's groups, taken; 0: they are full. */
static uint32_t take_watch_locked(struct exo_kr *kr, struct exo_epoll *set)
{
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        struct exo_watch_group *group = exo_epoll_group_at(kr, set->groups[i]);
        uint64_t used = load_relaxed(&group->used);
        if (used == UINT64_MAX)
            continue;
        uint32_t bit = (uint32_t)__builtin_ctzll(~used);
        fetch_or(&group->used, 1ULL << bit);
        return set->groups[i] * EXO_WATCH_GROUP_SIZE + bit;
    }
    return 0;
}

static bool give_group_locked(struct exo_kr *kr, struct exo_epoll *set, uint32_t index)
{
    uint32_t place = set->group_count;
    if (place >= EXO_SET_GROUP_COUNT)
        return false;
    store_relaxed(&exo_epoll_group_at(kr, index)->place, place);
    set->groups[place] = (uint16_t)index;
    store_release(&set->group_count, place + 1);
    return true;
}

static void fill_locked(struct exo_kr *kr, uint32_t number, const struct exo_watch *what)
{
    struct exo_watch *watch = exo_watch_at(kr, number);
    watch->data = what->data;
    store_relaxed(&watch->next, 0);
    store_relaxed(&watch->gone, 0);
    watch->generation++;
    store_relaxed(&watch->fd, what->fd);
    watch->host = what->host;
    store_release(&watch->events, what->events);
    store_release(&watch->object, what->object);
}

/* A new watch, not yet known to its object; *error says why there is none. */
static uint32_t make_watch(struct exo_kr *kr, uint32_t number, const struct exo_watch *what,
                           int *error)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    uint32_t group = 0, watch = 0;
    *error = 0;
    for (int tries = 0; watch == 0 && *error == 0; tries++) {
        exo_lock_acquire(&set->lock);
        if (set->mode != EXO_SET_OWN)
            *error = -EBADF;
        else if (group != 0 && give_group_locked(kr, set, group))
            group = 0;
        watch = *error == 0 ? take_watch_locked(kr, set) : 0;
        if (watch != 0)
            fill_locked(kr, watch, what);
        exo_lock_release(&set->lock);
        if (watch == 0 && *error == 0)
            *error = tries > 0 || (group = take_group(kr, number)) == 0 ? -ENOSPC : 0;
    }
    if (group != 0)
        exo_epoll_free_group(kr, group);
    return watch;
}

/* A watch that was removed and whose twin is still in the set's: 1, and it is one again. */
static int wake_up(struct exo_kr *kr, uint32_t set_number, const struct exo_watch *what,
                   uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, set_number);
    struct exo_watch *watch = exo_watch_at(kr, number);
    int error = 0;
    exo_lock_acquire(&set->lock);
    if (load_relaxed(&watch->object) != what->object || watch->fd != what->fd)
        error = 0; /* it has gone, just now */
    else if (load_relaxed(&watch->events) != 0)
        error = -EEXIST;
    else if (watch->host == what->host && set->mode == EXO_SET_OWN) {
        watch->data = what->data;
        store_release(&watch->events, what->events);
        error = 1;
    }
    exo_lock_release(&set->lock);
    if (error == 1)
        exo_watch_mark(kr, number);
    return error;
}

int exo_epoll_add(struct exo_kr *kr, uint32_t set, const struct exo_watch *what, uint32_t *number)
{
    uint32_t *list = exo_object_watch(kr, what->object);
    *number = load_relaxed(list) == 0 ? 0 : exo_watch_find(kr, list, set, what->fd);
    int error = *number == 0 ? 0 : wake_up(kr, set, what, *number);
    if (error != 0)
        return error;
    if (*number != 0)
        exo_watch_remove(kr, list, *number);
    *number = make_watch(kr, set, what, &error);
    if (error != 0)
        return error;
    error = exo_watch_link(kr, list, *number);
    if (error != 0)
        exo_watch_free(kr, *number);
    else
        exo_watch_mark(kr, *number);
    return error;
}

static bool is_marked(struct exo_kr *kr, uint32_t number)
{
    return load_acquire(&exo_watch_group_of(kr, number)->ready) >> number % EXO_WATCH_GROUP_SIZE &
           1;
}

int exo_epoll_modify(struct exo_kr *kr, uint32_t number, const struct exo_watch *what,
                     uint32_t *found)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    *found = exo_watch_find(kr, exo_object_watch(kr, what->object), number, what->fd);
    if (*found == 0)
        return -ENOENT;
    struct exo_watch *watch = exo_watch_at(kr, *found);
    bool known = false;
    int error = 0;
    exo_lock_acquire(&set->lock);
    if (load_relaxed(&watch->object) != what->object || watch->fd != what->fd ||
        load_relaxed(&watch->events) == 0)
        error = -ENOENT;
    else if (load_relaxed(&watch->events) & EXO_EPOLLEXCLUSIVE)
        error = -EINVAL;
    else {
        known = is_marked(kr, *found) && exo_watch_news(kr, watch, 0) != 0;
        watch->data = what->data;
        store_release(&watch->events, what->events);
    }
    exo_lock_release(&set->lock);
    if (error == 0)
        exo_watch_mark(kr, *found);
    if (known)
        *found = 0;
    return error;
}

/* Programs remove and add the same file again and again: it sleeps on, for the same number. */
int exo_epoll_remove(struct exo_kr *kr, uint32_t set_number, const struct exo_watch *what)
{
    struct exo_epoll *set = exo_epoll_at(kr, set_number);
    uint32_t *list = exo_object_watch(kr, what->object);
    uint32_t number = exo_watch_find(kr, list, set_number, what->fd);
    if (number == 0)
        return -ENOENT;
    struct exo_watch *watch = exo_watch_at(kr, number);
    int result = -ENOENT;
    exo_lock_acquire(&set->lock);
    uint32_t events = load_relaxed(&watch->events);
    if (load_relaxed(&watch->object) == what->object && watch->fd == what->fd && events != 0) {
        bool is_set = exo_object_kind(what->object & 0xffff) == EXO_KIND_EPOLL;
        result = watch->host == what->host && !(events & EXO_EPOLLEXCLUSIVE) && !is_set;
        if (result == 1)
            store_release(&watch->events, 0);
    }
    exo_lock_release(&set->lock);
    return result == 0 && !exo_watch_remove(kr, list, number) ? -ENOENT : result;
}

bool exo_epoll_claims(struct exo_kr *kr, uint32_t set, uint32_t number)
{
    const struct exo_watch *watch = exo_watch_at(kr, number);
    uint32_t state = exo_object_state(kr, load_acquire(&watch->object));
    struct exo_epoll *of = exo_epoll_at(kr, set);
    if (!(state & load_relaxed(&watch->events)))
        return false;
    bool wakes = exo_watched(&of->watch) && exo_watch_tell(kr, &of->watch, EXO_POLL_INS);
    return exo_watch_claim(of) || wakes;
}

uint64_t exo_epoll_tag(struct exo_kr *kr, uint32_t watch)
{
    uint32_t generation = exo_watch_at(kr, watch)->generation;
    return EXO_EPOLL_TAG | (uint64_t)(generation & 0x7fff) << 17 | watch;
}

_Static_assert(EXO_WATCH_GROUP_COUNT *EXO_WATCH_GROUP_SIZE <= 1 << 17, "exo_epoll_tag");

uint32_t exo_epoll_tagged(struct exo_kr *kr, uint32_t number, uint64_t tag)
{
    uint32_t watch = tag & 0x1ffff;
    bool ours = load_acquire(&exo_watch_group_of(kr, watch)->set) == number &&
                exo_epoll_tag(kr, watch) == tag;
    return ours ? load_acquire(&exo_watch_at(kr, watch)->object) : 0;
}
