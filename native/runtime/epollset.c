/* A set of exo's that is polled, or in another set: what it has, asking its twin where only that knows.
 *
 * The twin says that it has something of the host's files as well as that an object's twin has rung, so
 * it is read: what it tells of files level-triggered it will tell again, the rest is kept for who waits
 * for the set (struct exo_kept).
 * DIFFERS: such a kept event is told even if the file has been emptied meanwhile. A set that is in
 * another one, with files of the host's in it, is asked only by processes that have it open.
 */
#include "epoll.h"
#include "translate.h"

#define FOUND_COUNT 32
#define TRIES 16

static bool twin_has_something(int twin)
{
    struct {
        int32_t fd;
        int16_t events, revents;
    } poll = {.fd = twin, .events = EXO_POLLIN};
    int64_t now[2] = {0};
    return HOST_6(__NR_ppoll, &poll, 1, now, 0, 0, 0) > 0;
}

/* Kept, and said: nobody will be told by the twin. */
static void keep(struct exo_fd set, const struct exo_epoll_event *found)
{
    struct exo_epoll *of = exo_epoll_at(KR, set.stamp);
    exo_epoll_keep(KR, set.stamp, found);
    bool wakes = exo_watched(&of->watch) && exo_watch_tell(KR, &of->watch, EXO_POLL_INS);
    if (exo_watch_claim(of) || wakes)
        exo_epoll_ring(set);
}

static uint32_t state_of(struct exo_fd set, bool asks, int depth);

/* Whether it was of an object. Of a set in this one, why its twin has rung is to be asked there. */
static bool heard(struct exo_fd set, const struct exo_epoll_event *event, int depth)
{
    uint32_t gone = event->events & (EXO_POLL_GONE | EXO_POLLRDHUP);
    struct exo_fd inner;
    if ((event->data & EXO_EPOLL_TAG_MASK) != EXO_EPOLL_TAG)
        return false;
    uint32_t object = exo_epoll_tagged(KR, set.stamp, event->data);
    enum exo_kind kind = exo_object_kind(object & 0xffff);
    if (kind == EXO_KIND_EPOLL && depth < EXO_NEST_LIMIT && exo_set_find(object, &inner))
        state_of(inner, true, depth + 1);
    if (object != 0 && kind == EXO_KIND_SOCK)
        exo_sock_heard(object);
    if ((event->data & 0x1ffff) != 0 && /* not exo_epoll_ring()'s */
        exo_epoll_learn(KR, set.stamp, event->data, gone))
        exo_epoll_ring(set);
    return true;
}

bool exo_epoll_heard(struct exo_fd set, const struct exo_epoll_event *event)
{
    return heard(set, event, 0);
}

/* Whether anything of the host's was among it. */
static bool sort_out(struct exo_fd set, const struct exo_epoll_event *found, long count, int depth)
{
    bool once = load_relaxed(&exo_epoll_at(KR, set.stamp)->once), any = false;
    for (long i = 0; i < count; i++) {
        if (heard(set, &found[i], depth))
            continue;
        any = true;
        if (once)
            keep(set, &found[i]);
    }
    return any;
}

/* No lock, nothing but what the twin says. */
static __attribute__((noinline)) void ask(struct exo_fd set, int depth)
{
    struct exo_epoll_event found[FOUND_COUNT];
    struct exo_epoll *of = exo_epoll_at(KR, set.stamp);
    long room = load_relaxed(&of->once) ? EXO_KEPT_COUNT / 2 : FOUND_COUNT, count;
    bool any = false, taken = false;
    if (load_acquire(&of->group_count) == 0) { /* nothing of exo's was ever in it */
        store_release(&of->host_ready, (uint32_t)twin_has_something(set.host));
        return;
    }
    if (load_acquire(&of->kept_count) != 0)
        return;
    do {
        count = HOST_4(__NR_epoll_wait, set.host, found, room, 0);
        any |= sort_out(set, found, count, depth);
        taken |= count > 0;
    } while (count == room && !any);
    store_release(&of->host_ready, (uint32_t)(any && !load_relaxed(&of->once)));
    if (taken)
        exo_epoll_again(KR, set.stamp);
    if (taken && exo_epoll_passes(KR, set.stamp))
        exo_epoll_ring(set);
}

static void refresh_group(const struct exo_watch_group *group, int depth)
{
    for (uint64_t used = load_acquire(&group->used); used != 0; used &= used - 1) {
        const struct exo_watch *watch = &group->watches[__builtin_ctzll(used)];
        uint32_t object = load_acquire(&watch->object);
        struct exo_fd inner;
        if (object != 0 && exo_object_kind(object & 0xffff) == EXO_KIND_EPOLL &&
            exo_set_find(object, &inner))
            state_of(inner, false, depth + 1);
    }
}

static void refresh(uint32_t number, int depth)
{
    const struct exo_epoll *set = exo_epoll_at(KR, number);
    for (uint32_t i = 0; i < exo_epoll_groups(set) && depth < EXO_NEST_LIMIT; i++)
        refresh_group(&KR->watch_groups[set->groups[i] % EXO_WATCH_GROUP_COUNT], depth);
}

void exo_set_refresh(uint32_t set)
{
    refresh(set, 0);
}

/* Waits for who looks at it. */
void exo_set_calm(uint32_t set)
{
    struct exo_look look;
    look.max = 1;
    look.begun = false;
    look.peeks = true;
    exo_epoll_look(KR, set, &look);
}

/* One look: false if it has to be done again. */
static bool peek(struct exo_fd set, uint32_t *state)
{
    struct exo_look look;
    look.max = 1;
    look.begun = false;
    look.peeks = true;
    *state = exo_epoll_look(KR, set.stamp, &look) < 0 ? EXO_STATE_HOST
             : look.max == 0                          ? EXO_POLL_INS
                                                      : 0;
    if (look.busy != 0)
        exo_set_calm(look.busy);
    if (look.stray == 0)
        return look.busy == 0;
    exo_watch_stray(set, look.stray);
    ask(set, EXO_NEST_LIMIT);
    return false;
}

static uint32_t state_of(struct exo_fd set, bool asks, int depth)
{
    struct exo_epoll *of = exo_epoll_at(KR, set.stamp);
    uint32_t state, nested = load_acquire(&of->nested);
    if (asks || nested || load_relaxed(&of->hosts) != 0)
        ask(set, depth);
    else if (load_relaxed(&of->host_ready))
        store_release(&of->host_ready, 0);
    if (nested)
        refresh(set.stamp, depth);
    for (int i = 0; i < TRIES && !peek(set, &state); i++)
        ;
    if (load_relaxed(&of->host_ready) || load_acquire(&of->kept_count) != 0)
        state |= EXO_POLL_INS;
    return state;
}

uint32_t exo_set_state(struct exo_fd set, bool asks)
{
    return state_of(set, asks, 0);
}
