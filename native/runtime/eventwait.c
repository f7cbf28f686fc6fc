/* Sleeping on eventfds and timerfds of exo's, and giving them to the host.
 *
 * Who finds nothing sleeps in reading the twin, into which whoever adds something then writes a 1. A timer's twin is
 * set before, and wakes by itself.
 *
 * Rules: event.sleeping is raised under the lock by who then finds nothing, so who comes after sees
 * it. To become the host's, first nobody new may sleep (EXO_PIPE_LEAVES), then all who do are woken,
 * then the twin is emptied of what woke them and gets the counter; whoever finds that begun does it.
 */
#include "../core/asleep.h"
#include "epoll.h"
#include "event.h"
#include "patience.h"
#include "pipe.h"

static void put(int host, uint64_t value)
{
    HOST_3(__NR_write, host, &value, 8);
}

static void empty_twin(int host)
{
    uint64_t value;
    const uint64_t vector[2] = {(uint64_t)&value, 8};
    while (HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_) == 8)
        ;
}

bool exo_event_enter(struct exo_event_end *end, struct exo_fd *at)
{
    end->at = at;
    end->fd = exo_fd_now(at);
    if (!(end->fd.flags & EXO_FD_EVENT))
        return false;
    end->event = exo_event_at(KR, end->fd.stamp);
    exo_lock_acquire(&end->event->lock);
    if (likely(end->event->mode == EXO_PIPE_OWN && exo_fd_same(exo_fd_now(at), end->fd)))
        return true;
    exo_lock_release(&end->event->lock);
    exo_event_to_host(at);
    return false;
}

void exo_event_wake(const struct exo_event_end *end, uint32_t events, bool sleepers)
{
    const uint32_t *watch = &end->event->watch;
    if ((exo_watched(watch) && exo_watch_tell(KR, watch, events)) || sleepers)
        put(end->fd.host, 1);
}

/* What was taken from the twin may have been to wake who watches. */
static void wake_watchers_again(const struct exo_event_end *end)
{
    const uint32_t *watch = &end->event->watch;
    if (exo_watched(watch) && !exo_is_timer(end->event) && exo_watch_again(KR, watch) &&
        load_acquire(&end->event->count) != 0)
        put(end->fd.host, 1);
}

static bool is_ready(const void *object, UNUSED int what)
{
    const struct exo_event *event = object;
    return load_acquire(&event->count) != 0 || load_relaxed(&event->mode) != EXO_PIPE_OWN ||
           exo_timer_is_due(KR, event);
}

/* Says that somebody sleeps, the twin being empty or set; false: there is something. No lock is held. */
static bool settle(const struct exo_event_end *end)
{
    struct exo_event *event = end->event;
    exo_lock_acquire(&event->lock);
    bool ready = is_ready(event, 0);
    if (!ready) {
        if (exo_is_timer(event))
            exo_timer_arm_locked(event, end->fd.host);
        else
            empty_twin(end->fd.host);
        event->sleeping++;
        store_release(&area()->task->asleep_on, end->fd.stamp);
    }
    exo_lock_release(&event->lock);
    if (!ready)
        wake_watchers_again(end);
    return !ready;
}

void exo_event_rise(struct exo_event *event)
{
    exo_lock_acquire(&event->lock);
    if (event->sleeping != 0)
        event->sleeping--;
    exo_lock_release(&event->lock);
}

long exo_event_wait(const struct exo_event_end *end)
{
    struct exo_event *event = end->event;
    uint64_t value;
    if (!exo_is_timer(event) && exo_look(&event->patience, is_ready, event, 0))
        return 0;
    uint32_t since = exo_moment();
    if (!settle(end))
        return 0;
    long result = host_wait(__NR_read, end->fd.host, (long)&value, 8, 0, 0, 0);
    store_release(&area()->task->asleep_on, 0);
    if (result > 0 && exo_is_timer(event)) /* it tells that only once */
        store_release(&event->armed, 0);
    exo_event_rise(event);
    wake_watchers_again(end);
    if (result > 0)
        exo_slept(&event->patience, since);
    return result < 0 ? result : 0;
}

bool exo_event_settle(struct exo_fd *at)
{
    struct exo_event_end end = {.at = at, .fd = exo_fd_now(at)};
    if (!(end.fd.flags & EXO_FD_EVENT))
        return false;
    end.event = exo_event_at(KR, end.fd.stamp);
    bool settled = settle(&end);
    store_release(&area()->task->asleep_on, EXO_ASLEEP_POLLS);
    return settled;
}

/* Whether anybody sleeps in reading the twin; they are woken. */
static bool wake_sleepers(struct exo_fd of)
{
    bool any = exo_sleepers(KR, of.stamp, false, false) != 0;
    if (any && exo_is_timer(exo_event_at(KR, of.stamp)))
        exo_timer_rouse(of.host);
    else if (any)
        put(of.host, 1);
    return any;
}

/* The twin is as the guest has it. */
static void fill_twin_locked(struct exo_event *event, int host)
{
    if (exo_is_timer(event)) {
        event->armed = 0;
        exo_timer_arm_locked(event, host);
        return;
    }
    empty_twin(host);
    if (event->count != 0)
        put(host, event->count);
}

static void bring_over(struct exo_fd *at, struct exo_fd of)
{
    struct exo_event *event = exo_event_at(KR, of.stamp);
    exo_lock_acquire(&event->lock);
    if (event->mode == EXO_PIPE_OWN && exo_fd_same(exo_fd_now(at), of))
        store_release(&event->mode, (uint32_t)EXO_PIPE_LEAVES);
    exo_lock_release(&event->lock);
    if (exo_watched(&event->watch))
        exo_watch_note(KR, &event->watch, ~0U);
    while (load_acquire(&event->mode) == EXO_PIPE_LEAVES && wake_sleepers(of))
        HOST_0(__NR_sched_yield);
    exo_lock_acquire(&event->lock);
    if (event->mode == EXO_PIPE_LEAVES) {
        fill_twin_locked(event, of.host);
        store_release(&event->mode, (uint32_t)EXO_PIPE_HOST);
    }
    exo_lock_release(&event->lock);
}

void exo_event_to_host(struct exo_fd *at)
{
    for (;;) {
        struct exo_fd was = exo_fd_now(at), plain = was;
        if (was.host < 0 || !(was.flags & EXO_FD_EVENT))
            return;
        bring_over(at, was);
        exo_watches_to_host(was);
        plain.flags &= (uint16_t)~EXO_FD_EVENT;
        plain.stamp = 0;
        if (exo_fd_make_plain(at, was, plain))
            return;
    }
}
