/* An epoll set as something that is waited for itself: by poll(2), or in another set.
 *
 * Rules: no lock is taken here, since who looks at a set in a set holds the outer one's; who looks at
 * the inner one meanwhile has bits in its hand, which `turn` tells. What a set of exo's has of the
 * host's files its twin knows: host_ready and kept are what it has told last (runtime/epollset.c).
 */
#include "atomic.h"
#include "epoll.h"

static uint32_t state_of(struct exo_kr *kr, uint32_t object, int depth)
{
    if (exo_object_kind(object & 0xffff) == EXO_KIND_EPOLL)
        return exo_epoll_peek(kr, object & 0xffff, depth);
    return exo_object_state(kr, object);
}

uint32_t exo_watch_news(struct exo_kr *kr, const struct exo_watch *watch, int depth)
{
    uint32_t object = load_acquire(&watch->object), wants = load_relaxed(&watch->events);
    if (object == 0 || (wants & ~EXO_EPOLL_PRIVATE) == 0)
        return 0;
    uint32_t state = state_of(kr, object, depth);
    if (state & (EXO_STATE_HOST | EXO_STATE_BUSY))
        return state & (EXO_STATE_HOST | EXO_STATE_BUSY);
    return (state | watch->gone) & wants & ~EXO_EPOLL_PRIVATE;
}

/* What poll(2) says of the marked ones of a group: what has become the host's, the twin is to tell. */
static uint32_t peek_group(struct exo_kr *kr, const struct exo_watch_group *group, int depth)
{
    uint32_t busy = 0;
    for (uint64_t bits = load_acquire(&group->ready); bits != 0; bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(bits);
        uint32_t news = exo_watch_news(kr, &group->watches[at], depth + 1);
        if (news == EXO_STATE_BUSY)
            busy = EXO_STATE_BUSY;
        else if (news != EXO_STATE_HOST && news != 0)
            return EXO_POLL_INS;
    }
    return busy;
}

static uint32_t peek_groups(struct exo_kr *kr, const struct exo_epoll *set, int depth)
{
    uint32_t count = exo_epoll_groups(set), found = 0;
    for (uint32_t word = 0; word * 64 < count; word++) {
        for (uint64_t bits = load_acquire(&set->ready[word]); bits != 0; bits &= bits - 1) {
            uint32_t place = word * 64 + (uint32_t)__builtin_ctzll(bits);
            uint32_t index = set->groups[place] % EXO_WATCH_GROUP_COUNT;
            found |= peek_group(kr, &kr->watch_groups[index], depth);
            if (found & EXO_POLL_INS)
                return EXO_POLL_INS;
        }
    }
    return found;
}

uint32_t exo_epoll_peek(struct exo_kr *kr, uint32_t number, int depth)
{
    const struct exo_epoll *set = exo_epoll_at(kr, number);
    if (load_acquire(&set->mode) != EXO_SET_OWN)
        return EXO_STATE_HOST;
    if (load_relaxed(&set->kept_count) != 0 || load_relaxed(&set->host_ready))
        return EXO_POLL_INS;
    if (depth >= EXO_NEST_LIMIT)
        return 0;
    uint32_t turn = load_acquire(&set->turn), found = peek_groups(kr, set, depth);
    full_fence();
    if (found == 0 && ((turn & 1) || load_relaxed(&set->turn) != turn))
        return EXO_STATE_BUSY;
    return found;
}

static bool holds_sockets(struct exo_kr *kr, const struct exo_watch_group *group, int depth)
{
    for (uint64_t used = load_acquire(&group->used); used != 0; used &= used - 1) {
        const struct exo_watch *watch = &group->watches[__builtin_ctzll(used)];
        uint32_t object = load_acquire(&watch->object);
        enum exo_kind kind = exo_object_kind(object & 0xffff);
        if (object != 0 && (kind == EXO_KIND_SOCK ||
                            (kind == EXO_KIND_EPOLL && exo_epoll_holds_sockets(kr, object, depth))))
            return true;
    }
    return false;
}

bool exo_epoll_holds_sockets(struct exo_kr *kr, uint32_t number, int depth)
{
    const struct exo_epoll *set = exo_epoll_at(kr, number);
    bool any = false;
    for (uint32_t i = 0; i < exo_epoll_groups(set) && depth <= EXO_NEST_LIMIT && !any; i++) {
        uint32_t index = set->groups[i] % EXO_WATCH_GROUP_COUNT;
        any = index != 0 && holds_sockets(kr, &kr->watch_groups[index], depth + 1);
    }
    return any;
}

bool exo_epoll_keep(struct exo_kr *kr, uint32_t number, const struct exo_epoll_event *found)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    uint32_t count = set->kept_count;
    bool fits = count < EXO_KEPT_COUNT;
    if (fits) {
        set->kept[count] = (struct exo_kept){.data = found->data, .events = found->events};
        store_release(&set->kept_count, count + 1);
    }
    exo_lock_release(&set->lock);
    return fits;
}

uint32_t exo_epoll_kept(struct exo_kr *kr, uint32_t number, struct exo_epoll_event *found,
                        uint32_t max)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    if (load_acquire(&set->kept_count) == 0)
        return 0;
    exo_lock_acquire(&set->lock);
    uint32_t count = set->kept_count, taken = 0;
    if (count > EXO_KEPT_COUNT)
        count = 0;
    for (; taken < count && taken < max; taken++)
        found[taken] = (struct exo_epoll_event){.events = set->kept[count - 1 - taken].events,
                                                .data = set->kept[count - 1 - taken].data};
    store_release(&set->kept_count, count - taken);
    exo_lock_release(&set->lock);
    return taken;
}
