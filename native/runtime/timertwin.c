/* The twins of timers: set as the timers are, when somebody is about to sleep on them or on a set that they are in.
 *
 * Rules: event.armed says that the twin is set so; it is changed under the lock. Of sets, groups say which timers have been
 * set since somebody last slept (core/deadline.c): a bit goes after the twin was set, and comes
 * back if it has been set once more meanwhile, so whoever is killed on the way leaves it.
 */
#include "epoll.h"
#include "event.h"
#include "pipe.h"

#include "../core/now.h"

#define TFD_TIMER_ABSTIME_ 1
#define SECOND 1000000000
#define CLOCK_REALTIME_ 0
#define CLOCK_MONOTONIC_ 1

static long set_twin(int host, int flags, uint64_t value, uint64_t interval)
{
    const int64_t times[4] = {(int64_t)(interval / SECOND), (int64_t)(interval % SECOND),
                              (int64_t)(value / SECOND), (int64_t)(value % SECOND)};
    return HOST_4(__NR_timerfd_settime, host, flags, times, 0);
}

static uint64_t read_clock(int clock)
{
    int64_t now[2] = {0};
    HOST_2(__NR_clock_gettime, clock, now);
    return (uint64_t)now[0] * SECOND + (uint64_t)now[1];
}

/* A time of CLOCK_MONOTONIC, for a twin that has another clock. One that has passed is told by that: what comes of
 * it by interval is as many. */
static long set_real_twin(int host, uint64_t value, uint64_t interval)
{
    uint64_t now = read_clock(CLOCK_MONOTONIC_);
    if (value > now)
        return set_twin(host, 0, value - now, interval);
    uint64_t ago = now - value, real = read_clock(CLOCK_REALTIME_);
    return set_twin(host, TFD_TIMER_ABSTIME_, ago < real ? real - ago : 1, interval);
}

void exo_timer_arm_locked(struct exo_event *event, int host)
{
    uint64_t value = event->expiry_ns, interval = event->interval_ns;
    if (event->armed)
        return;
    if (value != 0 && event->count != 0 && event->count < value / (interval | 1))
        value -= event->count * interval; /* the host counts from there */
    bool real = value != 0 && event->clock == CLOCK_REALTIME_ + 1;
    long error = real ? set_real_twin(host, value, interval)
                      : set_twin(host, TFD_TIMER_ABSTIME_, value, interval);
    event->armed = error == 0;
}

void exo_timer_arm(struct exo_fd fd)
{
    struct exo_event *event = exo_event_at(KR, fd.stamp);
    exo_lock_acquire(&event->lock);
    if (event->mode == EXO_PIPE_OWN)
        exo_timer_arm_locked(event, fd.host);
    exo_lock_release(&event->lock);
}

void exo_timer_rouse(int host)
{
    set_twin(host, 0, 1, 0);
}

/* An entry of this process that leads to the timer: mostly the one by which it was added. */
static bool find(uint32_t number, const struct exo_watch *watch, struct exo_fd *entry)
{
    int fd = load_relaxed(&watch->fd);
    struct exo_fd *at = fd < 0 ? NULL : exo_fd_at(KR, area()->task->fd_table, fd);
    if (at != NULL) {
        *entry = exo_fd_now(at);
        if (entry->host >= 0 && (entry->flags & EXO_FD_EVENT) && entry->stamp == number)
            return true;
    }
    return exo_event_find(number, entry);
}

/* Whether the twin is set now; if not, *bound is when it expires at the latest. */
static bool settle_timer(uint32_t number, const struct exo_watch *watch, uint64_t *bound)
{
    struct exo_event *event = exo_event_at(KR, number);
    struct exo_fd entry;
    uint64_t expiry = load_acquire(&event->expiry_ns);
    if (!exo_is_timer(event) || load_acquire(&event->armed) || expiry == 0)
        return true;
    if (find(number, watch, &entry)) {
        exo_timer_arm(entry);
        return true;
    }
    *bound = expiry < *bound ? expiry : *bound;
    return false;
}

static void settle(uint32_t number, uint64_t *bound, int depth);

static bool settle_object(const struct exo_watch *watch, uint64_t *bound, int depth)
{
    uint32_t object = load_acquire(&watch->object), number = object & 0xffff;
    enum exo_kind kind = exo_object_kind(number);
    if (object != 0 && kind == EXO_KIND_EVENT)
        return settle_timer(number, watch, bound);
    if (object == 0 || kind != EXO_KIND_EPOLL || depth >= EXO_NEST_LIMIT)
        return true;
    settle(number, bound, depth + 1);
    return !load_acquire(&exo_epoll_at(KR, number)->stale);
}

static bool is_settled(const struct exo_watch *watch)
{
    uint32_t object = load_acquire(&watch->object), number = object & 0xffff;
    if (object != 0 && exo_object_kind(number) == EXO_KIND_EVENT) {
        const struct exo_event *event = exo_event_at(KR, number);
        return load_acquire(&event->armed) || load_acquire(&event->expiry_ns) == 0;
    }
    return object == 0 || exo_object_kind(number) != EXO_KIND_EPOLL ||
           !load_acquire(&exo_epoll_at(KR, number)->stale);
}

static void settle_group(struct exo_watch_group *group, uint64_t *bound, int depth)
{
    for (uint64_t bits = load_acquire(&group->stale); bits != 0; bits &= bits - 1) {
        const struct exo_watch *watch = &group->watches[__builtin_ctzll(bits)];
        uint64_t bit = bits & -bits;
        if (!settle_object(watch, bound, depth))
            continue;
        fetch_and(&group->stale, ~bit);
        if (!is_settled(
                watch)) /* set once more, just now: by who then tells the twin, if we sleep */
            fetch_or(&group->stale, bit);
    }
}

static void settle(uint32_t number, uint64_t *bound, int depth)
{
    struct exo_epoll *set = exo_epoll_at(KR, number);
    if (!load_acquire(&set->stale))
        return;
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++)
        settle_group(exo_epoll_group_at(KR, set->groups[i]), bound, depth);
    store_release(&set->stale, 0);
    full_fence();
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++)
        if (load_acquire(&exo_epoll_group_at(KR, set->groups[i])->stale) != 0)
            store_release(&set->stale, 1);
}

uint64_t exo_timers_settle(uint32_t set)
{
    uint64_t bound = EXO_NEVER;
    settle(set, &bound, 0);
    if (bound == EXO_NEVER)
        return 0;
    uint64_t now = exo_now_ns(KR), least = EXO_NOW_LATE;
    return bound > now + least ? bound - now : least;
}

const int64_t *exo_timers_bound(uint32_t set, const int64_t *timeout, int64_t left[2])
{
    uint64_t most = exo_timers_settle(set);
    if (most == 0 ||
        (timeout != NULL && (uint64_t)timeout[0] * SECOND + (uint64_t)timeout[1] <= most))
        return timeout;
    left[0] = (int64_t)(most / SECOND);
    left[1] = (int64_t)(most % SECOND);
    return left;
}
