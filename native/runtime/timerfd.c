/* timerfd_create(2): when it expires stands in the kernel region, and the clock says whether it has.
 *
 * A set timer costs the host nothing until somebody is about to sleep on it, or on a set that it is in: then its twin,
 * the host's timerfd, is set as well (timertwin.c). Inside are timers of CLOCK_MONOTONIC, and those of CLOCK_REALTIME
 * whose time is relative, which on Linux run by CLOCK_MONOTONIC, too. Others are the host's, and so is a timer
 * from the first call on that is not served here.
 */
#include "epoll.h"
#include "event.h"
#include "pipe.h"
#include "text.h"
#include "translate.h"

#include "../core/now.h"

#define CLOCK_REALTIME_ 0
#define CLOCK_MONOTONIC_ 1
#define TFD_TIMER_ABSTIME_ 1
#define TFD_TIMER_CANCEL_ON_SET_ 2
#define TIME_MAX INT64_MAX
#define SECOND 1000000000

struct k_itimerspec {
    int64_t interval[2], value[2];
};

/* Whether the host's CLOCK_MONOTONIC is the time stamp counter. */
static uint32_t find_tsc(void)
{
    char name[8] = {0};
    long fd = HOST_3(__NR_open, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                     O_CLOEXEC_, 0);
    if (fd < 0)
        return EXO_TSC_IS_NONE;
    HOST_3(__NR_read, fd, name, sizeof(name) - 1);
    HOST_1(__NR_close, fd);
    return exo_skip(name, "tsc\n") != NULL ? EXO_TSC_IS_CLOCK : EXO_TSC_IS_NONE;
}

SYSCALL(timerfd_create)
{
    long host = HOST_2(__NR_timerfd_create, a, b);
    int clock = (int)a;
    if (host < 0 || (clock != CLOCK_REALTIME_ && clock != CLOCK_MONOTONIC_))
        return exo_fd_made(host, b & O_CLOEXEC_);
    if (KR->tsc == EXO_TSC_UNKNOWN)
        KR->tsc = find_tsc();
    const struct exo_event like = {.nonblock = (b & O_NONBLOCK_) != 0,
                                   .clock = (uint32_t)clock + 1};
    return exo_event_made(host, b & O_CLOEXEC_, &like);
}

static bool is_time(const int64_t time[2])
{
    return time[0] >= 0 && (uint64_t)time[1] < SECOND;
}

/* As ktime_t has it: what is too far away is at its end. */
static uint64_t ns_of(const int64_t time[2])
{
    return time[0] < TIME_MAX / SECOND ? (uint64_t)time[0] * SECOND + (uint64_t)time[1] : TIME_MAX;
}

static void put_ns(int64_t time[2], uint64_t ns)
{
    time[0] = (int64_t)(ns / SECOND);
    time[1] = (int64_t)(ns % SECOND);
}

/* What is left until it expires next, of one with an interval whatever has not been read. No less than the guest's own
 * clock would make of it. */
static void tell_locked(struct exo_event *event, struct k_itimerspec *time)
{
    if (event->interval_ns != 0 && event->expiry_ns != 0)
        event->count = exo_timer_take_locked(KR, event);
    uint64_t now = exo_now_ns(KR), expiry = event->expiry_ns, late = now + EXO_NOW_LATE;
    put_ns(time->interval, event->interval_ns);
    put_ns(time->value, expiry <= now ? 0 : expiry <= late ? 1 : expiry - late);
}

/* There is a new time: who watches is to look then, and the twin is to know if somebody sleeps. */
static void announce(const struct exo_event_end *end, uint64_t expiry)
{
    uint32_t *watch = &end->event->watch;
    if (expiry != 0 && exo_watched(watch) && exo_deadline_note(KR, watch, expiry))
        exo_timer_arm(end->fd);
}

static void set_locked(const struct exo_event_end *end, bool absolute,
                       const struct k_itimerspec *new)
{
    struct exo_event *event = end->event;
    uint64_t value = ns_of(new->value);
    if (value != 0 && !absolute)
        value += exo_now_ns(KR) + EXO_NOW_LATE;
    value = value < TIME_MAX ? value : TIME_MAX;
    store_release(&event->count, 0);
    store_relaxed(&event->told_ns, 0);
    event->interval_ns = ns_of(new->interval);
    store_release(&event->expiry_ns, value);
    event->armed = 0;
    if (event->sleeping != 0)
        exo_timer_arm_locked(event, end->fd.host);
}

static long set_timer(struct exo_fd *at, int flags, const struct k_itimerspec *new,
                      struct k_itimerspec *old)
{
    struct exo_event_end end;
    if (!exo_event_enter(&end, at))
        return EXO_EVENT_AGAIN;
    bool absolute = flags & TFD_TIMER_ABSTIME_, real = end.event->clock == CLOCK_REALTIME_ + 1;
    bool served = !(flags & TFD_TIMER_CANCEL_ON_SET_) && !(absolute && real);
    if (served) {
        tell_locked(end.event, old);
        set_locked(&end, absolute, new);
    }
    uint64_t expiry = end.event->expiry_ns;
    exo_lock_release(&end.event->lock);
    if (served)
        announce(&end, expiry);
    else
        exo_event_to_host(at);
    return served ? 0 : EXO_EVENT_AGAIN;
}

static bool is_own(const struct exo_fd *at)
{
    struct exo_fd fd = exo_fd_now(at);
    return (fd.flags & EXO_FD_EVENT) && exo_is_timer(exo_event_at(KR, fd.stamp));
}

SYSCALL(timerfd_settime)
{
    struct k_itimerspec new, old;
    struct exo_fd *at = exo_fd_entry((int)a);
    if (guest_get(&new, c) != 0)
        return -EFAULT;
    if (((int)b & ~(TFD_TIMER_ABSTIME_ | TFD_TIMER_CANCEL_ON_SET_)) || !is_time(new.value) ||
        !is_time(new.interval))
        return -EINVAL;
    while (at != NULL && is_own(at))
        if (set_timer(at, (int)b, &new, &old) == 0)
            return d != 0 ? guest_put(d, &old) : 0;
    return at == NULL ? -EBADF : HOST_4(__NR_timerfd_settime, at->host, b, &new, d);
}

SYSCALL(timerfd_gettime)
{
    struct k_itimerspec now;
    struct exo_event_end end;
    struct exo_fd *at = exo_fd_entry((int)a);
    while (at != NULL && is_own(at)) {
        if (!exo_event_enter(&end, at))
            continue;
        uint64_t before = end.event->expiry_ns;
        tell_locked(end.event, &now);
        uint64_t expiry = end.event->expiry_ns;
        exo_lock_release(&end.event->lock);
        if (expiry != before)
            announce(&end, expiry);
        return guest_put(b, &now);
    }
    return at == NULL ? -EBADF : HOST_2(__NR_timerfd_gettime, at->host, b);
}

long exo_timer_read(struct exo_fd *at, uint64_t to)
{
    struct exo_event_end end;
    for (;;) {
        if (!exo_event_enter(&end, at))
            return EXO_EVENT_AGAIN;
        uint64_t count = exo_timer_take_locked(KR, end.event), expiry = end.event->expiry_ns;
        bool nonblock = end.event->nonblock;
        exo_lock_release(&end.event->lock);
        if (count != 0) {
            announce(&end, expiry);
            return guest_put(to, &count) == 0 ? 8 : -EFAULT;
        }
        long error = nonblock ? -EAGAIN : exo_event_wait(&end);
        if (error != 0)
            return error;
    }
}
