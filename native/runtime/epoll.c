/* epoll_create(2), epoll_ctl(2): sets in the kernel region, with the host's epoll as their twin.
 *
 * Files of the host's are added to the twin as the guest wants them. What is exo's is watched in the
 * region, and its twin added to the set's, edge-triggered, under a tag by which epollwait.c knows it.
 */
#include "epoll.h"
#include "event.h"
#include "fifo.h"
#include "pipe.h"
#include "sock.h"
#include "translate.h"

#define EXCLUSIVE_MAY                                                                              \
    (EXO_POLL_INS | EXO_POLL_OUTS | EXO_POLL_GONE | EXO_EPOLLWAKEUP | EXO_EPOLLET |                \
     EXO_EPOLLEXCLUSIVE | 0x280) /* and the bands */

static long make_set(long host, bool cloexec)
{
    if (host < 0)
        return host;
    int fd = exo_fd_take(0);
    if (fd < 0) {
        HOST_1(__NR_close, host);
        return fd;
    }
    uint32_t number = area()->leader->flags & EXO_TASK_CHROOTED
                          ? 0
                          : exo_object_create(KR, EXO_KIND_EPOLL, EXO_SET_OWN, 1);
    struct exo_fd entry = {.host = (int)host, .flags = EXO_FD_OPEN, .stamp = (uint16_t)number};
    entry.flags |= cloexec ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0;
    entry.flags |= number != 0 ? EXO_FD_EPOLL : 0;
    if (number != 0)
        exo_note_objects();
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
    exo_object_hold(KR, 0);
    return fd;
}

SYSCALL(epoll_create)
{
    return make_set(HOST_1(__NR_epoll_create, a), false);
}

SYSCALL(epoll_create1)
{
    return make_set(HOST_1(__NR_epoll_create1, a), a & O_CLOEXEC_);
}

/* Wakes one who sleeps on a set that has something already: a file of ours that is always ready goes
 * into the twin, for once. */
void exo_epoll_ring(struct exo_fd set)
{
    struct exo_epoll_event bell = {.events = EXO_POLLOUT | EXO_EPOLLONESHOT,
                                   .data = exo_epoll_bell(set.stamp)};
    if (HOST_4(__NR_epoll_ctl, set.host, EPOLL_CTL_MOD_, EXO_FD_DOORBELL, &bell) != 0)
        HOST_4(__NR_epoll_ctl, set.host, EPOLL_CTL_ADD_, EXO_FD_DOORBELL, &bell);
}

/* What the twin of an object is to say, for who sleeps: edge-triggered. */
static uint32_t twin_events(uint32_t object)
{
    bool is_sock = exo_object_kind(object & 0xffff) == EXO_KIND_SOCK;
    if (is_sock && exo_sock_is_unix_dgram(exo_sock_at(KR, object))) /* see sockroom.c */
        return EXO_POLLIN | EXO_POLLOUT | EXO_POLLRDHUP | EXO_EPOLLET;
    if (object & EXO_OBJECT_WRITES)
        return EXO_POLLOUT | EXO_EPOLLET;
    return EXO_POLLIN | EXO_POLLRDHUP | EXO_EPOLLET;
}

/* The watch is there: its twin goes into the set's. */
static long add_twin(struct exo_fd set, const struct exo_watch *what, uint32_t number)
{
    struct exo_epoll_event event = {.events = twin_events(what->object),
                                    .data = exo_epoll_tag(KR, number)};
    long error = HOST_4(__NR_epoll_ctl, set.host, EPOLL_CTL_ADD_, what->host, &event);
    if (error != 0)
        exo_watch_remove(KR, exo_object_watch(KR, what->object), number);
    return error;
}

/* With a share in both, so that neither goes away meanwhile. */
static long add_shared(struct exo_fd set, const struct exo_watch *what)
{
    uint32_t number;
    if (exo_object_kind(what->object & 0xffff) == EXO_KIND_EPOLL)
        store_release(&exo_epoll_at(KR, set.stamp)->nested, 1);
    long error = exo_epoll_add(KR, set.stamp, what, &number);
    bool there = error == 1;
    if (error == 0)
        error = add_twin(set, what, number);
    if (there)
        error = 0;
    if (error == 0 && exo_deadline_note_object(KR, what->object))
        exo_timers_settle(set.stamp);
    if (error == 0 && exo_epoll_claims(KR, set.stamp, number))
        exo_epoll_ring(set);
    return error;
}

static long add_object(struct exo_fd *set, struct exo_fd *target, const struct exo_watch *what)
{
    struct exo_fd of = exo_fd_now(set), to = exo_fd_now(target);
    long error = EXO_EPOLL_AGAIN;
    if (!(of.flags & EXO_FD_EPOLL) || exo_object_of(to) != what->object || to.host != what->host)
        return error;
    exo_object_hold(KR, of.stamp | (uint32_t)to.stamp << 16);
    if (exo_object_ref(KR, set, of)) {
        if (exo_object_ref(KR, target, to)) {
            error = add_shared(of, what);
            exo_object_unref(KR, to);
        }
        exo_object_unref(KR, of);
    }
    exo_object_hold(KR, 0);
    return error;
}

static long modify_object(struct exo_fd set, const struct exo_watch *what)
{
    uint32_t number;
    long error = exo_epoll_modify(KR, set.stamp, what, &number);
    if (error == 0 && number != 0 && exo_epoll_claims(KR, set.stamp, number))
        exo_epoll_ring(set);
    return error;
}

static long remove_object(struct exo_fd set, const struct exo_watch *what)
{
    long error = exo_epoll_remove(KR, set.stamp, what);
    if (error == 0)
        HOST_4(__NR_epoll_ctl, set.host, EPOLL_CTL_DEL_, what->host, 0);
    return error < 0 ? error : 0;
}

/* What Linux refuses; 0: go on. */
static long check(int op, uint32_t events, bool is_set)
{
    if (op != EPOLL_CTL_ADD_ && op != EPOLL_CTL_MOD_)
        return -EINVAL;
    if (!(events & EXO_EPOLLEXCLUSIVE))
        return 0;
    return op == EPOLL_CTL_MOD_ || is_set || (events & ~EXCLUSIVE_MAY) ? -EINVAL : 0;
}

/* Of an object: EXO_EPOLL_AGAIN if it, or the set, is the host's by now. */
static long control_object(struct exo_fd *set, struct exo_fd *target, int op, int fd, uint64_t from)
{
    struct exo_fd of = exo_fd_now(set), to = exo_fd_now(target);
    struct exo_watch what = {.object = exo_object_of(to), .fd = fd, .host = to.host};
    struct exo_epoll_event event;
    long error;
    if (op == EPOLL_CTL_DEL_) {
        error = remove_object(of, &what);
        return error == -ENOENT && !exo_fd_same(exo_fd_now(target), to) ? EXO_EPOLL_AGAIN : error;
    }
    if ((to.flags & EXO_FD_PIPE) && exo_pipe_is_fifo(exo_pipe_at(KR, to.stamp)))
        exo_object_to_host(target); /* whose other end the host alone knows */
    if (guest_get(&event, from) != 0)
        return -EFAULT;
    error = check(op, event.events, to.flags & EXO_FD_EPOLL);
    if (error != 0)
        return error;
    what.events = event.events | EXO_POLL_GONE;
    what.data = event.data;
    if (exo_object_state(KR, what.object) & EXO_STATE_HOST)
        error = -ENOSPC;
    else
        error = op == EPOLL_CTL_ADD_ ? add_object(set, target, &what) : modify_object(of, &what);
    if (error == -ENOSPC && (to.flags & EXO_FD_SOCKET)) {
        struct exo_sock_end end;
        return exo_sock_enter(&end, target) ? error : EXO_EPOLL_AGAIN;
    }
    if (error == -ENOSPC) { /* the host has room for it */
        exo_object_to_host(target);
        return exo_fd_same(exo_fd_now(target), to) ? error : EXO_EPOLL_AGAIN;
    }
    if (error == 0 && (to.flags & EXO_FD_PIPE) && !exo_pipe_watchable(target))
        exo_object_to_host(target);
    return error;
}

/* A file of the host's. */
static long control_host(struct exo_fd *set, int op, int host, uint64_t from)
{
    struct exo_fd of = exo_fd_now(set);
    struct exo_epoll_event event;
    if (op != EPOLL_CTL_DEL_ && guest_get(&event, from) == 0) {
        if ((event.data & EXO_EPOLL_TAG_MASK) == EXO_EPOLL_TAG)
            exo_epoll_to_host(set);
        if (event.events & (EXO_EPOLLET | EXO_EPOLLONESHOT))
            store_release(&exo_epoll_at(KR, of.stamp)->once, 1);
    }
    long error = HOST_4(__NR_epoll_ctl, of.host, op, host, from);
    if (error == 0 && (of.flags & EXO_FD_EPOLL) && op != EPOLL_CTL_MOD_)
        fetch_add(&exo_epoll_at(KR, of.stamp)->hosts, op == EPOLL_CTL_ADD_ ? 1U : ~0U);
    return error;
}

/* The set, if it is one at all, is the host's: there a socket's twin must ring for each arrival. */
static long in_host_set(int set, long op, int fd, long event)
{
    struct exo_sock_end end;
    struct exo_fd *target = exo_fd_entry(fd);
    long error = HOST_4(__NR_epoll_ctl, set, op, exo_fd_or_bad(fd), event);
    if (error == 0 && target != NULL && exo_sock_enter(&end, target))
        store_release(&end.sock->signals, 1);
    return error;
}

SYSCALL(epoll_ctl)
{
    struct exo_fd *set = exo_fd_entry((int)a);
    for (;;) {
        struct exo_fd *target = exo_fd_entry((int)c);
        bool own = set != NULL && (load_acquire(&set->flags) & EXO_FD_EPOLL);
        if (!own)
            return in_host_set(exo_fd_or_bad((int)a), b, (int)c, d);
        if (target == NULL)
            return HOST_4(__NR_epoll_ctl, set->host, b, INT32_MAX, d);
        uint32_t object = exo_object_of(exo_fd_now(target));
        if (object == exo_object_of(exo_fd_now(set))) /* itself: EINVAL, by the host */
            return HOST_4(__NR_epoll_ctl, set->host, b, target->host, d);
        if (object == 0)
            return control_host(set, (int)b, target->host, (uint64_t)d);
        long result = control_object(set, target, (int)b, (int)c, (uint64_t)d);
        if (result != EXO_EPOLL_AGAIN)
            return result;
    }
}
