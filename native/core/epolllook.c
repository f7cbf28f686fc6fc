/* What of an epoll set is ready: taking bits, and looking at the objects they stand for. Rules: epoll.c. */
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
        store_release(&watch->events, wants & EXO_EPOLL_PRIVATE);
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
    struct exo_watch_group *group = exo_epoll_group_at(kr, set->groups[place]);
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
        struct exo_watch_group *group = exo_epoll_group_at(kr, set->groups[i]);
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
