/* What can be waited for: by what entries it is known, where its watchers are, and its state. */
#include "atomic.h"
#include "deadline.h"
#include "epoll.h"
#include "fifo.h"
#include "sock.h"
#include "watch.h"

uint32_t exo_object_of(struct exo_fd fd)
{
    if (fd.host < 0 || !(fd.flags & EXO_FD_OBJECT))
        return 0;
    return fd.stamp | (fd.flags & EXO_FD_PIPE_WRITES ? EXO_OBJECT_WRITES : 0);
}

static int side_of(uint32_t object)
{
    return object & EXO_OBJECT_WRITES ? EXO_PIPE_WRITES : EXO_PIPE_READS;
}

uint32_t *exo_object_watch(struct exo_kr *kr, uint32_t object)
{
    uint32_t number = object & 0xffff;
    switch (exo_object_kind(number)) {
    case EXO_KIND_PIPE:
        return &exo_pipe_at(kr, number)->watch[side_of(object)];
    case EXO_KIND_SOCK:
        return &exo_sock_at(kr, number)->watch;
    case EXO_KIND_EVENT:
        return &exo_event_at(kr, number)->watch;
    case EXO_KIND_EPOLL:
        return &exo_epoll_at(kr, number)->watch;
    default:
        return NULL;
    }
}

/* As Linux's pipe_poll() has it. Who is left at a FIFO the host knows. */
static uint32_t pipe_state(const struct exo_pipe *pipe, int side)
{
    bool alone = exo_pipe_users(pipe, 1 - side) == 0 && !exo_pipe_is_fifo(pipe);
    if (load_acquire(&pipe->mode) != EXO_PIPE_OWN)
        return EXO_STATE_HOST;
    if (side == EXO_PIPE_WRITES)
        return (!exo_pipe_is_full(pipe) ? EXO_POLL_OUTS : 0) | (alone ? EXO_POLLERR : 0);
    return (!exo_pipe_is_empty(pipe) ? EXO_POLL_INS : 0) | (alone ? EXO_POLLHUP : 0);
}

/* As Linux's eventfd_poll() and timerfd_poll(). */
static uint32_t event_state(struct exo_kr *kr, const struct exo_event *event)
{
    uint64_t count = load_acquire(&event->count);
    if (load_acquire(&event->mode) != EXO_PIPE_OWN)
        return EXO_STATE_HOST;
    if (exo_is_timer(event))
        return count != 0 || exo_timer_is_due(kr, event) ? EXO_POLLIN : 0;
    return (count != 0 ? EXO_POLLIN : 0) | (count == UINT64_MAX ? EXO_POLLERR : 0) |
           (count < UINT64_MAX - 1 ? EXO_POLLOUT : 0);
}

uint32_t exo_object_state(struct exo_kr *kr, uint32_t object)
{
    uint32_t number = object & 0xffff;
    switch (exo_object_kind(number)) {
    case EXO_KIND_PIPE:
        return pipe_state(exo_pipe_at(kr, number), side_of(object));
    case EXO_KIND_SOCK:
        return exo_sock_poll(kr, exo_sock_at(kr, number));
    case EXO_KIND_EVENT:
        return event_state(kr, exo_event_at(kr, number));
    case EXO_KIND_EPOLL:
        return exo_epoll_peek(kr, number, 0);
    default:
        return EXO_STATE_HOST;
    }
}

void exo_object_leave(struct exo_kr *kr, uint32_t object)
{
    uint32_t *watch = exo_object_watch(kr, object);
    if (watch != NULL && exo_watched(watch))
        exo_watch_drop(kr, watch);
    if (exo_object_kind(object & 0xffff) == EXO_KIND_EPOLL)
        exo_epoll_end(kr, object & 0xffff);
}

/* Whoever sleeps is woken by the host when the twin is closed. */
void exo_object_left(struct exo_kr *kr, uint32_t object)
{
    if (exo_object_kind(object & 0xffff) != EXO_KIND_PIPE)
        return;
    const uint32_t *other = exo_object_watch(kr, object ^ EXO_OBJECT_WRITES);
    if (exo_watched(other))
        exo_watch_note(kr, other, EXO_POLL_INS | EXO_POLL_OUTS | EXO_POLL_GONE);
}
