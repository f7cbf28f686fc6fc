/* Lists of who watches an object, and telling them that it has changed.
 *
 * Rules: a list is changed under its watch lock, and walked without: who has walked looks whether it
 * was changed meanwhile, and then walks once more with the lock. To tell is to set bits, so telling
 * twice, or the wrong one, does no harm: whoever is told looks for itself. Whoever is killed on the
 * way leaves a list that can be walked, at worst a watch that is in use and in no list.
 */
#include <asm-generic/errno.h>

#include "atomic.h"
#include "watch.h"

#define ABOVE_COUNT 16
#define LOOK_LIMIT 1024 /* watchers of one object that are seen without the lock */

static struct exo_watch_lock *lock_of(struct exo_kr *kr, const uint32_t *watch)
{
    uint64_t away = (uint64_t)((const char *)watch - (const char *)kr);
    return &kr->watch_locks[(uint32_t)(away / 64) * 0x9e3779b1U >> 26];
}

_Static_assert(EXO_WATCH_LOCK_COUNT == 1 << (32 - 26), "lock_of");

static void begin_change(struct exo_watch_lock *lock)
{
    exo_lock_acquire(&lock->lock);
    store_release(&lock->changes, lock->changes | 1);
    full_fence();
}

static void end_change(struct exo_watch_lock *lock)
{
    store_release(&lock->changes, lock->changes + 1);
    exo_lock_release(&lock->lock);
}

void exo_watch_keep(struct exo_kr *kr, uint32_t number)
{
    struct exo_watch_group *group = exo_watch_group_of(kr, number);
    struct exo_epoll *set = exo_epoll_at(kr, load_relaxed(&group->set));
    uint32_t place = load_relaxed(&group->place) % EXO_SET_GROUP_COUNT;
    fetch_or(&group->ready, 1ULL << number % EXO_WATCH_GROUP_SIZE);
    /* Who looks clears this first and takes the other then. */
    if (!(load_relaxed(&set->ready[place / 64]) >> place % 64 & 1))
        fetch_or(&set->ready[place / 64], 1ULL << place % 64);
}

void exo_watch_line_up(struct exo_kr *kr, uint32_t number)
{
    struct exo_watch_group *group = exo_watch_group_of(kr, number);
    struct exo_epoll *set = exo_epoll_at(kr, load_relaxed(&group->set));
    store_relaxed(&group->came[number % EXO_WATCH_GROUP_SIZE], fetch_add(&set->arrivals, 1));
}

void exo_watch_mark(struct exo_kr *kr, uint32_t number)
{
    uint64_t ready = load_relaxed(&exo_watch_group_of(kr, number)->ready);
    if (!(ready >> number % EXO_WATCH_GROUP_SIZE & 1)) /* else it has its place already */
        exo_watch_line_up(kr, number);
    exo_watch_keep(kr, number);
}

/* Whether it is for us to wake one who sleeps on the set. */
bool exo_watch_claim(struct exo_epoll *set)
{
    uint32_t count = load_relaxed(&set->sleepers);
    while (count != 0)
        if (compare_exchange(&set->sleepers, &count, count - 1))
            return true;
    return false;
}

static struct exo_epoll *set_of(struct exo_kr *kr, uint32_t number)
{
    return exo_epoll_at(kr, load_relaxed(&exo_watch_group_of(kr, number)->set));
}

/* Sets that are watched themselves: theirs are told when no lock is held. */
struct above {
    bool silent; /* nobody is to be woken */
    uint32_t count;
    uint32_t sets[ABOVE_COUNT];
};

static void note_above(struct exo_kr *kr, uint32_t number, struct above *above)
{
    uint32_t set = load_relaxed(&exo_watch_group_of(kr, number)->set);
    if (!exo_watched(&exo_epoll_at(kr, set)->watch))
        return;
    for (uint32_t i = 0; i < above->count && i < ABOVE_COUNT; i++)
        if (above->sets[i] == set)
            return;
    if (above->count < ABOVE_COUNT)
        above->sets[above->count] = set;
    above->count += above->count <= ABOVE_COUNT;
}

/* Of those who have the object exclusively, one that sleeps is enough. */
static bool tell_all(struct exo_kr *kr, const uint32_t *watch, uint32_t events, uint32_t limit,
                     struct above *above)
{
    bool wakes = false, served = false;
    uint32_t number = load_acquire(watch);
    for (uint32_t i = 0; number != 0 && i < limit; i++) {
        const struct exo_watch *each = exo_watch_at(kr, number);
        uint32_t wants = load_relaxed(&each->events);
        bool exclusive = wants & EXO_EPOLLEXCLUSIVE;
        bool known = (events & EXO_POLL_GONE) && (load_relaxed(&each->gone) & EXO_POLL_GONE);
        if ((wants & events) && !(exclusive && served) && (!known || events == ~0U)) {
            exo_watch_mark(kr, number);
            bool sleeps = !above->silent && exo_watch_claim(set_of(kr, number));
            note_above(kr, number, above);
            wakes |= sleeps;
            served |= exclusive && sleeps;
        }
        number = load_acquire(&each->next);
    }
    return wakes;
}

static bool tell_list(struct exo_kr *kr, const uint32_t *watch, uint32_t events,
                      struct above *above)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    uint32_t changes = load_acquire(&lock->changes);
    bool wakes = false;
    if (!(changes & 1)) {
        wakes = tell_all(kr, watch, events, LOOK_LIMIT, above);
        full_fence();
        if (load_relaxed(&lock->changes) == changes)
            return wakes;
    }
    begin_change(lock);
    wakes |= tell_all(kr, watch, events, EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE, above);
    end_change(lock);
    return wakes;
}

static bool again_in_list(struct exo_kr *kr, const uint32_t *watch, uint32_t events,
                          struct above *above)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    bool any = false;
    (void)events;
    begin_change(lock);
    uint32_t limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    for (uint32_t number = *watch; number != 0 && limit-- > 0;) {
        struct exo_epoll *set = set_of(kr, number);
        if (load_relaxed(&set->inside) != 0) {
            fetch_add(&set->sleepers, 1);
            any = true;
        }
        note_above(kr, number, above);
        number = exo_watch_at(kr, number)->next;
    }
    end_change(lock);
    return any;
}

/* Goes through a list, then through those of the sets in it, and so on. Where there are too many of
 * them, through all there are. */
static bool go_up(struct exo_kr *kr, const uint32_t *watch, uint32_t events, int depth, bool silent,
                  bool (*go)(struct exo_kr *, const uint32_t *, uint32_t, struct above *))
{
    struct above above = {.silent = silent};
    bool any = go(kr, watch, events, &above);
    if (__builtin_expect(above.count == 0, 1) || depth == EXO_NEST_LIMIT)
        return any;
    bool all = above.count > ABOVE_COUNT;
    uint32_t count = all ? load_acquire(&kr->object_high[EXO_KIND_EPOLL]) : above.count;
    for (uint32_t i = 0; i < count && i < EXO_EPOLL_COUNT; i++) {
        const struct exo_epoll *set =
            exo_epoll_at(kr, all ? EXO_EPOLL_FIRST + 1 + i : above.sets[i]);
        if (exo_watched(&set->watch))
            any |=
                go_up(kr, &set->watch, EXO_POLL_INS, all ? EXO_NEST_LIMIT : depth + 1, silent, go);
    }
    return any;
}

bool exo_watch_tell(struct exo_kr *kr, const uint32_t *watch, uint32_t events)
{
    return go_up(kr, watch, events, 0, false, tell_list);
}

void exo_watch_note(struct exo_kr *kr, const uint32_t *watch, uint32_t events)
{
    go_up(kr, watch, events, 0, true, tell_list);
}

bool exo_watch_again(struct exo_kr *kr, const uint32_t *watch)
{
    return go_up(kr, watch, 0, 0, false, again_in_list);
}

void exo_watch_free(struct exo_kr *kr, uint32_t number)
{
    struct exo_watch *gone = exo_watch_at(kr, number);
    store_release(&gone->events, 0);
    store_release(&gone->object, 0);
    uint64_t bit = 1ULL << number % EXO_WATCH_GROUP_SIZE;
    struct exo_watch_group *group = exo_watch_group_of(kr, number);
    if (load_relaxed(&group->timers) & bit) {
        fetch_and(&group->timers, ~bit);
        fetch_and(&group->stale, ~bit);
    }
    fetch_and(&group->used, ~bit);
}

void exo_watch_drop(struct exo_kr *kr, uint32_t *watch)
{
    if (load_acquire(watch) == 0)
        return;
    struct exo_watch_lock *lock = lock_of(kr, watch);
    begin_change(lock);
    uint32_t number = *watch, limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    while (number != 0 && limit-- > 0) {
        uint32_t next = exo_watch_at(kr, number)->next;
        store_release(watch, next);
        exo_watch_free(kr, number);
        number = next;
    }
    store_release(watch, 0);
    end_change(lock);
}

static bool is_same(struct exo_kr *kr, uint32_t number, uint32_t set, int fd)
{
    return load_relaxed(&exo_watch_group_of(kr, number)->set) == set &&
           load_relaxed(&exo_watch_at(kr, number)->fd) == fd;
}

/* The link that leads to number, or to the one of a set's fd; the list's end if there is none. */
static uint32_t *link_to(struct exo_kr *kr, uint32_t *watch, uint32_t number, uint32_t set, int fd)
{
    uint32_t *link = watch, limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    while (*link != 0 && limit-- > 0) {
        if (number != 0 ? *link == number : is_same(kr, *link, set, fd))
            break;
        link = &exo_watch_at(kr, *link)->next;
    }
    return link;
}

int exo_watch_link(struct exo_kr *kr, uint32_t *watch, uint32_t number)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    uint32_t set = load_relaxed(&exo_watch_group_of(kr, number)->set);
    begin_change(lock);
    uint32_t *link = link_to(kr, watch, 0, set, exo_watch_at(kr, number)->fd);
    bool free = *link == 0;
    if (free) {
        store_release(&exo_watch_at(kr, number)->next, 0);
        store_release(link, number);
    }
    end_change(lock);
    return free ? 0 : -EEXIST;
}

uint32_t exo_watch_find(struct exo_kr *kr, uint32_t *watch, uint32_t set, int fd)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    exo_lock_acquire(&lock->lock);
    uint32_t number = *link_to(kr, watch, 0, set, fd);
    exo_lock_release(&lock->lock);
    return number;
}

bool exo_watch_remove(struct exo_kr *kr, uint32_t *watch, uint32_t number)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    begin_change(lock);
    uint32_t *link = link_to(kr, watch, number, 0, 0);
    bool found = *link == number;
    if (found) {
        store_release(link, exo_watch_at(kr, number)->next);
        exo_watch_free(kr, number);
    }
    end_change(lock);
    return found;
}

void exo_watch_each(struct exo_kr *kr, const uint32_t *watch,
                    void (*visit)(struct exo_kr *, uint32_t, void *), void *with)
{
    struct exo_watch_lock *lock = lock_of(kr, watch);
    uint32_t limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    exo_lock_acquire(&lock->lock);
    for (uint32_t number = *watch; number != 0 && limit-- > 0;
         number = exo_watch_at(kr, number)->next)
        visit(kr, number, with);
    exo_lock_release(&lock->lock);
}
