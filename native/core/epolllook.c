/* What of an epoll set is ready: taking bits, and looking at the objects they stand for. Rules: epoll.c. */
#include "deadline.h"
#include "epoll.h"
#include "sock.h"

#include <asm-generic/errno.h>

#include "atomic.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

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
        if (!listens && (gone & EXO_POLL_GONE) && !exo_sock_is_unix_dgram(sock))
            exo_sock_lose_peer(kr, sock); /* RDHUP alone: a deaf twin */
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
    return unlikely(load_relaxed(&set->deadline) != 0) && exo_deadline_is_due(kr, set);
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
        store_release(&watch->events, wants & EXO_EPOLL_PRIVATE);
    return !(wants & (EXO_EPOLLONESHOT | EXO_EPOLLET));
}

static bool goes_on(const struct exo_look *look)
{
    return look->max != 0 && look->stray == 0 && look->busy == 0;
}

/* Those of a group's bits that became ready from..to; *first is the one of them all that did so first. */
static uint64_t bits_of(const struct exo_watch_group *group, uint32_t from, uint32_t span,
                        uint32_t *first)
{
    uint64_t found = 0;
    for (uint64_t bits = load_acquire(&group->ready); bits != 0; bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(bits), came = load_relaxed(&group->came[at]);
        if (came - from >= span)
            continue;
        found |= 1ULL << at;
        if (came - from < *first - from)
            *first = came;
    }
    return found;
}

/* The next group from place on with something ready; EXO_SET_GROUP_COUNT: none. */
static uint32_t next_place(const struct exo_epoll *set, uint32_t place)
{
    for (; place < exo_epoll_groups(set); place = (place | 63) + 1) {
        uint64_t some = load_acquire(&set->ready[place / 64]) >> place % 64;
        if (some != 0)
            return place + (uint32_t)__builtin_ctzll(some);
    }
    return EXO_SET_GROUP_COUNT;
}

/* Whether there is room for all; if not, which is the first of them. */
static bool fits_locked(struct exo_kr *kr, struct exo_epoll *set, uint32_t from, uint32_t span,
                        uint32_t *first)
{
    uint32_t place = next_place(set, 0), count = 0;
    *first = from + span;
    if (next_place(set, next_place(set, place + 1) + 1) >= exo_epoll_groups(set))
        return true; /* no more than two groups */
    for (; place < exo_epoll_groups(set); place = next_place(set, place + 1))
        for (uint64_t bits = bits_of(exo_epoll_group_at(kr, set->groups[place]), from, span, first);
             bits != 0; bits &= bits - 1)
            count++;
    return count <= EXO_LOOK_COUNT;
}

_Static_assert(2 * EXO_WATCH_GROUP_SIZE <= EXO_LOOK_COUNT, "two groups fit");

/* Of the group at place, those are taken that became ready from..to, as many as there is room for. */
static void take_group_locked(struct exo_kr *kr, struct exo_epoll *set, uint32_t place,
                              uint32_t from, uint32_t span, struct exo_look *look)
{
    uint64_t bit = 1ULL << place % 64;
    uint64_t *some = &set->ready[place / 64];
    struct exo_watch_group *group = exo_epoll_group_at(kr, set->groups[place]);
    fetch_and(some, ~bit); /* who tells sets the other first, and then this */
    uint32_t first = from + span;
    uint64_t bits = bits_of(group, from, span, &first), taken = 0;
    for (; bits != 0 && look->some < EXO_LOOK_COUNT; bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(bits);
        taken |= 1ULL << at;
        look->some_at[look->some] = set->groups[place] * EXO_WATCH_GROUP_SIZE + at;
        look->came[look->some++] = load_relaxed(&group->came[at]);
    }
    if ((fetch_and(&group->ready, ~taken) & ~taken) != 0)
        fetch_or(some, bit);
}

/* All that are ready, if there is room for them, else the first of them. True: there are more. What has become ready
 * since this look has begun is for the next one, as it may have been told in this one. */
static bool take_locked(struct exo_kr *kr, struct exo_epoll *set, struct exo_look *look)
{
    uint32_t now = load_relaxed(&set->arrivals), from = now - EXO_ARRIVALS_OLD, span, first;
    if (!look->begun)
        look->until = now;
    look->begun = true;
    span = look->until - from;
    bool all = fits_locked(kr, set, from, span, &first);
    if (!all && EXO_LOOK_COUNT < look->until - first) {
        from = first;
        span = EXO_LOOK_COUNT;
    }
    for (uint32_t place = next_place(set, 0); place < exo_epoll_groups(set);
         place = next_place(set, place + 1))
        take_group_locked(kr, set, place, from, span, look);
    return !all;
}

/* Those taken, by when they became ready. */
static void sort(struct exo_look *look)
{
    for (uint32_t i = 1; i < look->some; i++) {
        uint32_t number = look->some_at[i], came = look->came[i], j = i;
        for (; j > 0 && (int32_t)(came - look->came[j - 1]) < 0; j--) {
            look->some_at[j] = look->some_at[j - 1];
            look->came[j] = look->came[j - 1];
        }
        look->some_at[j] = number;
        look->came[j] = came;
    }
}

/* As Linux does: what became ready first is told first, what stays ready comes behind all others then, and what is
 * not reached keeps its place. */
static void tell_locked(struct exo_kr *kr, struct exo_look *look)
{
    sort(look);
    for (uint32_t i = 0; i < look->some; i++) {
        uint32_t number = look->some_at[i], before = look->count;
        bool looks = goes_on(look);
        if (looks && !look_at(kr, number, look))
            continue;
        if (looks && look->count != before)
            exo_watch_line_up(kr, number);
        exo_watch_keep(kr, number);
    }
}

/* Whoever was killed with the lock may have had bits in its hand. */
static void repair_locked(struct exo_kr *kr, struct exo_epoll *set)
{
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        struct exo_watch_group *group = exo_epoll_group_at(kr, set->groups[i]);
        for (uint64_t used = load_relaxed(&group->used); used != 0; used &= used - 1)
            exo_watch_mark(kr,
                           set->groups[i] * EXO_WATCH_GROUP_SIZE + (uint32_t)__builtin_ctzll(used));
    }
    set->repaired = set->lock.generation;
}

int exo_epoll_look(struct exo_kr *kr, uint32_t number, struct exo_look *look)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    int more = -EBADF;
    look->count = look->stray = look->busy = look->some = 0;
    if (unlikely(load_relaxed(&set->deadline) != 0))
        exo_deadline_look(kr, number, 0);
    exo_lock_acquire(&set->lock);
    if (unlikely(set->repaired != set->lock.generation))
        repair_locked(kr, set);
    store_relaxed(&set->turn, set->turn | 1); /* for exo_epoll_peek() */
    full_fence();
    if (set->mode == EXO_SET_OWN) {
        more = take_locked(kr, set, look);
        tell_locked(kr, look);
        more = more && goes_on(look);
    }
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
