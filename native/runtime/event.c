/* eventfd(2): the counter is in the kernel region, the host's eventfd is its twin.
 *
 * Who finds 0 sleeps in reading the twin, into which whoever adds something then writes a 1. A write
 * that would have to wait makes the eventfd the host's, and so does every call not served here.
 *
 * Rules: event.sleeping is raised under the lock by who then finds nothing, so who comes after sees
 * it. To become the host's, first nobody new may sleep (EXO_PIPE_LEAVES), then all who do are woken,
 * then the twin is emptied of what woke them and gets the counter; whoever finds that begun does it.
 */
#include "event.h"
#include "../core/asleep.h"
#include "epoll.h"
#include "patience.h"
#include "pipe.h"
#include "translate.h"

#define EFD_SEMAPHORE_ 1

struct event_end {
    struct exo_fd *at;
    struct exo_fd fd;
    struct exo_event *event;
};

/* Whether this host can read an eventfd without waiting: 1 yes, 2 no. */
static bool host_suits(int host)
{
    HOT static uint8_t known;
    uint64_t value;
    const uint64_t vector[2] = {(uint64_t)&value, 8};
    if (known == 0)
        known = HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_) == -EAGAIN ? 1 : 2;
    return known == 1;
}

/* The host takes the counter's place only if it cannot be ours; it is made with 0, to be asked. */
static uint32_t adopt(int host, uint32_t count, int flags)
{
    if ((area()->leader->flags & EXO_TASK_CHROOTED) || !host_suits(host))
        return 0;
    uint32_t number = exo_object_create(KR, EXO_KIND_EVENT, EXO_PIPE_LEAVES, 1);
    if (number == 0)
        return 0;
    struct exo_event *event = exo_event_at(KR, number);
    event->count = count;
    event->semaphore = flags & EFD_SEMAPHORE_;
    event->nonblock = (flags & O_NONBLOCK_) != 0;
    store_release(&event->mode, (uint32_t)EXO_PIPE_OWN);
    exo_note_objects();
    return number;
}

static long put(int host, uint64_t value)
{
    return HOST_3(__NR_write, host, &value, 8);
}

static long make_event(uint32_t count, int flags)
{
    long host = HOST_2(__NR_eventfd2, 0, flags);
    if (host < 0)
        return host;
    int fd = exo_fd_take(0);
    if (fd < 0) {
        HOST_1(__NR_close, host);
        return fd;
    }
    uint32_t number = adopt((int)host, count, flags);
    struct exo_fd entry = {.host = (int)host, .flags = EXO_FD_OPEN, .stamp = (uint16_t)number};
    entry.flags |= flags & O_CLOEXEC_ ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0;
    entry.flags |= number != 0 ? EXO_FD_EVENT : 0;
    if (number == 0 && count != 0)
        put((int)host, count);
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
    exo_object_hold(KR, 0);
    return fd;
}

SYSCALL(eventfd)
{
    return make_event((uint32_t)a, 0);
}

SYSCALL(eventfd2)
{
    return make_event((uint32_t)a, (int)b);
}

static void empty_twin(int host)
{
    uint64_t value;
    const uint64_t vector[2] = {(uint64_t)&value, 8};
    while (HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_) == 8)
        ;
}

/* Takes the lock if the entry still leads there and the counter is ours. */
static bool enter(struct event_end *end, struct exo_fd *at)
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

/* The counter has changed, so events may be told: wakes who sleeps on it, and who watches it. */
static void wake(const struct event_end *end, uint32_t events, bool sleepers)
{
    const uint32_t *watch = &end->event->watch;
    if ((exo_watched(watch) && exo_watch_tell(KR, watch, events)) || sleepers)
        put(end->fd.host, 1);
}

/* What was taken from the twin may have been to wake who watches. */
static void wake_watchers_again(const struct event_end *end)
{
    const uint32_t *watch = &end->event->watch;
    if (exo_watched(watch) && exo_watch_again(KR, watch) && load_acquire(&end->event->count) != 0)
        put(end->fd.host, 1);
}

static bool is_ready(const void *object, UNUSED int what)
{
    const struct exo_event *event = object;
    return load_acquire(&event->count) != 0 || load_relaxed(&event->mode) != EXO_PIPE_OWN;
}

/* Says that somebody sleeps, the twin being empty; false: there is something. No lock is held. */
static bool settle(const struct event_end *end)
{
    struct exo_event *event = end->event;
    exo_lock_acquire(&event->lock);
    bool ready = is_ready(event, 0);
    if (!ready) {
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

/* 0: worth another try. */
static long sleep_on(const struct event_end *end)
{
    uint64_t value;
    if (exo_look(&end->event->patience, is_ready, end->event, 0))
        return 0;
    uint32_t since = exo_moment();
    if (!settle(end))
        return 0;
    long result = host_wait(__NR_read, end->fd.host, (long)&value, 8, 0, 0, 0);
    store_release(&area()->task->asleep_on, 0);
    exo_event_rise(end->event);
    wake_watchers_again(end);
    if (result > 0)
        exo_slept(&end->event->patience, since);
    return result < 0 ? result : 0;
}

static uint64_t take_locked(struct exo_event *event)
{
    uint64_t value = event->semaphore ? 1 : event->count;
    store_release(&event->count, event->count - value);
    return value;
}

long exo_event_read(struct exo_fd *at, uint64_t to, uint64_t size)
{
    struct event_end end;
    if (size < 8)
        return -EINVAL;
    for (;;) {
        if (!enter(&end, at))
            return EXO_EVENT_AGAIN;
        uint64_t value = end.event->count != 0 ? take_locked(end.event) : 0;
        bool more = end.event->sleeping != 0 && end.event->count != 0;
        bool nonblock = end.event->nonblock;
        exo_lock_release(&end.event->lock);
        if (value != 0) {
            wake(&end, EXO_POLLOUT, more);
            return guest_put(to, &value) == 0 ? 8 : -EFAULT;
        }
        long error = nonblock ? -EAGAIN : sleep_on(&end);
        if (error != 0)
            return error;
    }
}

long exo_event_write(struct exo_fd *at, uint64_t from, uint64_t size)
{
    struct event_end end;
    uint64_t value;
    if (size < 8)
        return -EINVAL;
    if (size > 8) { /* some hosts take that */
        exo_event_to_host(at);
        return EXO_EVENT_AGAIN;
    }
    if (guest_get(&value, from) != 0)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    if (!enter(&end, at))
        return EXO_EVENT_AGAIN;
    bool fits = UINT64_MAX - end.event->count > value, nonblock = end.event->nonblock;
    if (fits)
        store_release(&end.event->count, end.event->count + value);
    bool sleeps = end.event->sleeping != 0 && value != 0;
    exo_lock_release(&end.event->lock);
    if (fits) {
        wake(&end, EXO_POLLIN, sleeps);
        return 8;
    }
    if (nonblock)
        return -EAGAIN;
    exo_event_to_host(at);
    return EXO_EVENT_AGAIN;
}

long exo_event_set_flags(struct exo_fd *at, long flags)
{
    struct event_end end;
    if ((flags & O_ASYNC_) || !enter(&end, at))
        return EXO_EVENT_AGAIN;
    end.event->nonblock = (flags & O_NONBLOCK_) != 0;
    long error = HOST_3(__NR_fcntl, end.fd.host, F_SETFL_, flags);
    exo_lock_release(&end.event->lock);
    return error;
}

bool exo_event_settle(struct exo_fd *at)
{
    struct event_end end = {.at = at, .fd = exo_fd_now(at)};
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
    if (any)
        put(of.host, 1);
    return any;
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
        empty_twin(of.host);
        if (event->count != 0)
            put(of.host, event->count);
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
