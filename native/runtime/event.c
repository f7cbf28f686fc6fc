/* eventfd(2): the counter is in the kernel region, the host's eventfd is its twin.
 *
 * Who finds 0 sleeps in reading the twin (eventwait.c). A write that would have to wait makes the eventfd the
 * host's, and so does every call not served here.
 */
#include "event.h"
#include "epoll.h"
#include "pipe.h"
#include "translate.h"

#define EFD_SEMAPHORE_ 1

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
static uint32_t adopt(int host, const struct exo_event *like)
{
    if ((area()->leader->flags & EXO_TASK_CHROOTED) || (!exo_is_timer(like) && !host_suits(host)))
        return 0;
    uint32_t number = exo_object_create(KR, EXO_KIND_EVENT, EXO_PIPE_LEAVES, 1);
    if (number == 0)
        return 0;
    struct exo_event *event = exo_event_at(KR, number);
    event->count = like->count;
    event->semaphore = like->semaphore;
    event->nonblock = like->nonblock;
    event->clock = like->clock;
    store_release(&event->mode, (uint32_t)EXO_PIPE_OWN);
    exo_note_objects();
    return number;
}

long exo_event_made(long host, bool cloexec, const struct exo_event *like)
{
    if (host < 0)
        return host;
    int fd = exo_fd_take(0);
    if (fd < 0) {
        HOST_1(__NR_close, host);
        return fd;
    }
    uint32_t number = adopt((int)host, like);
    struct exo_fd entry = {.host = (int)host, .flags = EXO_FD_OPEN, .stamp = (uint16_t)number};
    entry.flags |= cloexec ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0;
    entry.flags |= number != 0 ? EXO_FD_EVENT : 0;
    if (number == 0 && like->count != 0)
        HOST_3(__NR_write, host, &like->count, 8);
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
    exo_object_hold(KR, 0);
    return fd;
}

static long make_event(uint32_t count, int flags)
{
    const struct exo_event like = {.count = count,
                                   .semaphore = flags & EFD_SEMAPHORE_,
                                   .nonblock = (flags & O_NONBLOCK_) != 0};
    return exo_event_made(HOST_2(__NR_eventfd2, 0, flags), flags & O_CLOEXEC_, &like);
}

SYSCALL(eventfd)
{
    return make_event((uint32_t)a, 0);
}

SYSCALL(eventfd2)
{
    return make_event((uint32_t)a, (int)b);
}

static uint64_t take_locked(struct exo_event *event)
{
    uint64_t value = event->semaphore ? 1 : event->count;
    store_release(&event->count, event->count - value);
    return value;
}

static bool is_timer(const struct exo_fd *at)
{
    struct exo_fd fd = exo_fd_now(at);
    return (fd.flags & EXO_FD_EVENT) && exo_is_timer(exo_event_at(KR, fd.stamp));
}

long exo_event_read(struct exo_fd *at, uint64_t to, uint64_t size)
{
    struct exo_event_end end;
    if (size < 8)
        return -EINVAL;
    if (unlikely(is_timer(at)))
        return exo_timer_read(at, to);
    for (;;) {
        if (!exo_event_enter(&end, at))
            return EXO_EVENT_AGAIN;
        uint64_t value = end.event->count != 0 ? take_locked(end.event) : 0;
        bool more = end.event->sleeping != 0 && end.event->count != 0;
        bool nonblock = end.event->nonblock;
        exo_lock_release(&end.event->lock);
        if (value != 0) {
            exo_event_wake(&end, EXO_POLLOUT, more);
            return guest_put(to, &value) == 0 ? 8 : -EFAULT;
        }
        long error = nonblock ? -EAGAIN : exo_event_wait(&end);
        if (error != 0)
            return error;
    }
}

long exo_event_write(struct exo_fd *at, uint64_t from, uint64_t size)
{
    struct exo_event_end end;
    uint64_t value;
    if (size < 8 || is_timer(at))
        return -EINVAL;
    if (size > 8) { /* some hosts take that */
        exo_event_to_host(at);
        return EXO_EVENT_AGAIN;
    }
    if (guest_get(&value, from) != 0)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    if (!exo_event_enter(&end, at))
        return EXO_EVENT_AGAIN;
    bool fits = UINT64_MAX - end.event->count > value, nonblock = end.event->nonblock;
    if (fits)
        store_release(&end.event->count, end.event->count + value);
    bool sleeps = end.event->sleeping != 0 && value != 0;
    exo_lock_release(&end.event->lock);
    if (fits) {
        exo_event_wake(&end, EXO_POLLIN, sleeps);
        return 8;
    }
    if (nonblock)
        return -EAGAIN;
    exo_event_to_host(at);
    return EXO_EVENT_AGAIN;
}

long exo_event_set_flags(struct exo_fd *at, long flags)
{
    struct exo_event_end end;
    if ((flags & O_ASYNC_) || !exo_event_enter(&end, at))
        return EXO_EVENT_AGAIN;
    end.event->nonblock = (flags & O_NONBLOCK_) != 0;
    long error = HOST_3(__NR_fcntl, end.fd.host, F_SETFL_, flags);
    exo_lock_release(&end.event->lock);
    return error;
}
