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
#include "sock.h"

#include <asm-generic/errno.h>

#include "atomic.h"
#include "mem.h"

#define unlikely(x) __builtin_expect(!!(x), 0)
#define PRIVATE EXO_EPOLL_PRIVATE

static struct exo_watch_group *group_at(struct exo_kr *kr, uint32_t index)
{
    return &kr->watch_groups[index % EXO_WATCH_GROUP_COUNT];
}

/* A group for a set, which is to get it under its lock; 0: none is left. */
static uint32_t take_group(struct exo_kr *kr, uint32_t set)
{
    exo_lock_acquire(&kr->group_lock);
    uint32_t index = kr->free_group % EXO_WATCH_GROUP_COUNT;
    if (index != 0)
        kr->free_group = group_at(kr, index)->next_free;
    else if (kr->group_high + 1 < EXO_WATCH_GROUP_COUNT)
        index = ++kr->group_high;
    if (index != 0) {
        store_release(&group_at(kr, index)->used, 0);
        store_release(&group_at(kr, index)->ready, 0);
        store_release(&group_at(kr, index)->set, set);
    }
    exo_lock_release(&kr->group_lock);
    return index;
}

void exo_epoll_free_group(struct exo_kr *kr, uint32_t index)
{
    struct exo_watch_group *group = group_at(kr, index);
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
        struct exo_watch_group *group = group_at(kr, set->groups[i]);
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
    store_relaxed(&group_at(kr, index)->place, place);
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

/* Of a set that is in this one its twin tells whatever happens; of what is exo's, it has been told. */
static uint32_t has_hosts(struct exo_kr *kr, uint32_t object)
{
    bool is_set = object != 0 && exo_object_kind(object & 0xffff) == EXO_KIND_EPOLL;
    return is_set && load_relaxed(&exo_epoll_at(kr, object)->hosts) != 0;
}

bool exo_epoll_learn(struct exo_kr *kr, uint32_t number, uint64_t tag, uint32_t gone)
{
    uint32_t watch = tag & 0x1ffff;
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    bool ours = exo_watch_group_of(kr, watch)->set == number && exo_epoll_tag(kr, watch) == tag;
    struct exo_watch *of = exo_watch_at(kr, watch);
    uint32_t object = ours ? load_acquire(&of->object) : 0;
    bool is_sock = object != 0 && exo_object_kind(object & 0xffff) == EXO_KIND_SOCK;
    uint32_t known = of->gone | (ours && gone != 0 ? exo_object_state(kr, object) : 0);
    if (ours && !is_sock)
        store_relaxed(&of->gone, (uint16_t)(of->gone | gone));
    exo_lock_release(&set->lock);
    if (is_sock) { /* it tells itself what that means */
        struct exo_sock *sock = exo_sock_at(kr, object);
        bool listens = load_acquire(&sock->mode) == EXO_SOCK_LISTENS;
        if (!listens && (gone & EXO_POLL_GONE)) /* RDHUP alone: a deaf twin */
            exo_sock_lose_peer(kr, sock);
        if (!listens)
            return false;
        exo_watch_mark(kr, watch); /* which is pending already */
        return exo_watched(&set->watch) && exo_watch_tell(kr, &set->watch, EXO_POLL_INS);
    }
    if (!ours || (!(gone & ~known) && !has_hosts(kr, object)))
        return false; /* or it has been told already, which is enough with EPOLLET */
    exo_watch_mark(kr, watch);
    return exo_watched(&set->watch) && exo_watch_tell(kr, &set->watch, EXO_POLL_INS);
}

bool exo_epoll_is_ready(struct exo_kr *kr, uint32_t number)
{
    const struct exo_epoll *set = exo_epoll_at(kr, number);
    if (load_acquire(&set->kept_count) != 0)
        return true;
    for (uint32_t i = 0; i * 64 < exo_epoll_groups(set); i++)
        if (load_acquire(&set->ready[i]) != 0)
            return true;
    return false;
}

/* Looks at one; whether it is to be looked at again. */
static bool look_at(struct exo_kr *kr, uint32_t number, struct exo_look *look)
{
    struct exo_watch *watch = exo_watch_at(kr, number);
    uint32_t news = exo_watch_news(kr, watch, 0), wants = load_relaxed(&watch->events);
    if (news == EXO_STATE_HOST) {
        look->stray = number;
        return true;
    }
    if (news == EXO_STATE_BUSY) {
        look->busy = load_relaxed(&watch->object);
        return true;
    }
    if (news == 0)
        return false;
    if (look->peeks) {
        look->max = 0;
        return true;
    }
    look->numbers[look->count] = number;
    look->found[look->count++] = (struct exo_epoll_event){.events = news, .data = watch->data};
    look->max--;
    if (wants & EXO_EPOLLONESHOT)
        store_release(&watch->events, wants & PRIVATE);
    return !(wants & (EXO_EPOLLONESHOT | EXO_EPOLLET));
}

static bool goes_on(const struct exo_look *look)
{
    return look->max != 0 && look->stray == 0 && look->busy == 0;
}

/* Of the group at place, those of mask. False: no more are wanted, or there is no room for them. */
static bool look_at_group(struct exo_kr *kr, struct exo_epoll *set, uint32_t place, uint64_t mask,
                          struct exo_look *look)
{
    uint64_t bit = 1ULL << place % 64, again = 0;
    uint64_t *some = &set->ready[place / 64];
    struct exo_watch_group *group = group_at(kr, set->groups[place]);
    if (!(load_relaxed(some) & bit))
        return true;
    if (look->count > EXO_LOOK_COUNT - EXO_WATCH_GROUP_SIZE)
        return false;
    fetch_and(some, ~bit); /* who tells sets the other first, and then this */
    uint64_t bits = fetch_and(&group->ready, ~mask) & mask;
    for (; bits != 0 && goes_on(look); bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(bits);
        if (!look->peeks)
            set->cursor = place * EXO_WATCH_GROUP_SIZE + at + 1;
        if (look_at(kr, set->groups[place] * EXO_WATCH_GROUP_SIZE + at, look))
            again |= 1ULL << at;
    }
    if ((fetch_or(&group->ready, bits | again) | bits | again) != 0)
        fetch_or(some, bit);
    return goes_on(look);
}

/* All groups once, from the cursor on; the first in two parts, for whoever stands behind is never
 * looked at before all others have been. */
static bool look_locked(struct exo_kr *kr, struct exo_epoll *set, struct exo_look *look)
{
    uint32_t count = exo_epoll_groups(set);
    if (count == 0)
        return false;
    if (look->start == 0)
        look->start = set->cursor % (count * EXO_WATCH_GROUP_SIZE) + 1;
    uint32_t first = (look->start - 1) / EXO_WATCH_GROUP_SIZE;
    uint64_t behind = ~0ULL << (look->start - 1) % EXO_WATCH_GROUP_SIZE;
    for (; look->visited <= count; look->visited++) {
        uint32_t place = (first + look->visited) % count;
        if (place % 64 == 0 && place + 64 <= count && look->visited != 0 &&
            look->visited + 64 <= count && load_relaxed(&set->ready[place / 64]) == 0) {
            look->visited += 63; /* none of these */
            continue;
        }
        uint64_t mask = look->visited == 0 ? behind : look->visited == count ? ~behind : ~0ULL;
        if (mask != 0 && !look_at_group(kr, set, place, mask, look))
            return goes_on(look);
    }
    return false;
}

/* Whoever was killed with the lock may have had bits in its hand. */
static void repair_locked(struct exo_kr *kr, struct exo_epoll *set)
{
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        struct exo_watch_group *group = group_at(kr, set->groups[i]);
        fetch_or(&group->ready, load_relaxed(&group->used));
        fetch_or(&set->ready[i / 64], 1ULL << i % 64);
    }
    set->repaired = set->lock.generation;
}

int exo_epoll_look(struct exo_kr *kr, uint32_t number, struct exo_look *look)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    int more = -EBADF;
    look->count = look->stray = look->busy = 0;
    exo_lock_acquire(&set->lock);
    if (unlikely(set->repaired != set->lock.generation))
        repair_locked(kr, set);
    store_relaxed(&set->turn, set->turn | 1); /* for exo_epoll_peek() */
    full_fence();
    if (set->mode == EXO_SET_OWN)
        more = look_locked(kr, set, look);
    store_release(&set->turn, set->turn + 1);
    exo_lock_release(&set->lock);
    return more;
}

bool exo_epoll_passes(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    if (load_relaxed(&set->sleepers) == 0 && !exo_watched(&set->watch))
        return false;
    uint32_t turn = load_acquire(&set->turn);
    bool ready = exo_epoll_is_ready(kr, number);
    full_fence();
    if (!ready && !(turn & 1) && load_relaxed(&set->turn) == turn)
        return false; /* nor has anybody it in his hand */
    bool above = exo_watched(&set->watch) && exo_watch_again(kr, &set->watch);
    return exo_watch_claim(set) || above;
}

void exo_epoll_again(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    store_release(&set->sleepers, set->inside);
    exo_lock_release(&set->lock);
}

bool exo_epoll_settle(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    set->inside++;
    fetch_add(&set->sleepers, 1); /* from here on whoever tells wakes us */
    bool ready = exo_epoll_is_ready(kr, number);
    exo_lock_release(&set->lock);
    if (!ready && load_acquire(&set->mode) == EXO_SET_OWN)
        return true;
    exo_epoll_rise(kr, number);
    return false;
}

void exo_epoll_rise(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    store_relaxed(&set->inside, set->inside - (set->inside != 0));
    /* We may have taken from the twin what was to wake others: they sleep on. */
    store_release(&set->sleepers, set->inside);
    exo_lock_release(&set->lock);
}

/* A group's watches go from their objects' lists; nobody adds any, for nobody has the set. */
static void end_group(struct exo_kr *kr, uint32_t index)
{
    const struct exo_watch_group *group = group_at(kr, index);
    for (uint64_t used = load_acquire(&group->used); used != 0; used &= used - 1) {
        uint32_t number = index * EXO_WATCH_GROUP_SIZE + (uint32_t)__builtin_ctzll(used);
        uint32_t object = load_acquire(&exo_watch_at(kr, number)->object);
        uint32_t *watch = object == 0 ? NULL : exo_object_watch(kr, object);
        if (watch != NULL)
            exo_watch_remove(kr, watch, number);
    }
}

/* Or may be: what pollers look at nobody knows. */
static bool is_asleep_on(const struct exo_task *task, uint32_t number)
{
    uint32_t on = load_acquire(&task->asleep_on);
    return (on == number || (on & EXO_ASLEEP_POLLS)) && exo_alive_test(task);
}

void exo_epoll_recount(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    uint32_t count = 0;
    exo_lock_acquire(&set->lock);
    for (uint32_t i = 1; i < load_acquire(&kr->task_high) && i < EXO_TASK_COUNT; i++)
        count += is_asleep_on(&kr->tasks[i], number);
    if (count < set->inside) {
        store_relaxed(&set->inside, count);
        store_release(&set->sleepers, count);
    }
    exo_lock_release(&set->lock);
}

bool exo_epoll_has_group(struct exo_kr *kr, uint32_t index)
{
    const struct exo_watch_group *group = group_at(kr, index);
    const struct exo_epoll *set = exo_epoll_at(kr, load_acquire(&group->set));
    uint32_t place = load_relaxed(&group->place);
    return load_acquire(&set->mode) != 0 && place < exo_epoll_groups(set) &&
           set->groups[place] == index;
}

void exo_epoll_end(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        uint32_t index = set->groups[i] % EXO_WATCH_GROUP_COUNT;
        if (index == 0 || group_at(kr, index)->set != number)
            continue;
        end_group(kr, index);
        exo_epoll_free_group(kr, index);
    }
}
