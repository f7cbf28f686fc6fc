/* connect(2) of sockets whose contents are in the kernel region; see socklisten.c. */
#include <linux/futex.h>

#include "../core/watch.h"
#include "epoll.h"
#include "process.h"
#include "sock.h"
#include "sockdgram.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "sockunix.h"
#include "translate.h"

#define TRIES_S 127 /* as net.ipv4.tcp_syn_retries 6 */

static void inherit(struct exo_sock *sock, const struct exo_sock *listener)
{
    memcpy(sock->options, listener->options, sizeof(sock->options));
    memcpy(sock->timeout_ns, listener->timeout_ns, sizeof(sock->timeout_ns));
    sock->linger = listener->linger;
    sock->options[EXO_SOCK_FASTOPEN] = 0;
}

/* Both sides' names, and the port of ours; net_lock is held. */
static long name_both_locked(struct exo_sock *sock, struct exo_sock *other,
                             const struct exo_sock *listener, const struct exo_sock_name *to)
{
    struct exo_sock_name own = sock->local;
    if (sock->bound == 0) {
        own = *to;
        own.port = 0;
        if (exo_sock_is_loopback(to))
            exo_sock_set_loopback(&own);
        long error = exo_sock_take_port_locked(KR, sock, &own);
        if (error != 0)
            return error;
    } else if (exo_sock_is_any(&own)) {
        uint16_t port = own.port;
        own = *to;
        own.port = port;
        if (exo_sock_is_loopback(to))
            exo_sock_set_loopback(&own);
        sock->local = own;
    }
    sock->remote = *to;
    other->local = exo_sock_seen_by(to, listener->family);
    other->remote = exo_sock_seen_by(&sock->local, listener->family);
    other->family = listener->family;
    inherit(other, listener);
    exo_sock_set_limit_locked(sock, other);
    exo_sock_set_limit_locked(other, sock);
    return 0;
}

/* Finds who listens, and joins both sides: its number, or -errno. */
static long join_listener(struct exo_sock_end *end, uint32_t embryo, const struct exo_sock_name *to)
{
    struct exo_sock *sock = end->sock, *other = exo_sock_at(KR, embryo);
    exo_lock_acquire(&KR->net_lock);
    uint32_t listener = exo_sock_listener_locked(KR, to);
    long error = listener == 0 ? -ECONNREFUSED : 0;
    if (error == 0 && (load_acquire(&sock->mode) != EXO_SOCK_FRESH || sock->peer != 0))
        error = -EALREADY;
    if (error == 0)
        error = name_both_locked(sock, other, exo_sock_at(KR, listener), to);
    if (error == 0) {
        other->listener = listener;
        store_release(&sock->peer, embryo);
        store_release(&other->peer, end->fd.stamp);
    }
    exo_lock_release(&KR->net_lock);
    return error != 0 ? error : (long)listener;
}

void exo_sock_renew_twin(const struct exo_sock_end *end)
{
    long flags = HOST_2(__NR_fcntl, end->fd.host, F_GETFL_);
    uint32_t type = end->sock->type != 0 ? end->sock->type : SOCK_STREAM_;
    long host = HOST_3(__NR_socket, AF_UNIX_, type | (flags & O_NONBLOCK_), 0);
    if (host < 0)
        return;
    HOST_3(__NR_dup3, host, end->fd.host, end->fd.flags & EXO_FD_HOST_CLOEXEC ? O_CLOEXEC_ : 0);
    HOST_1(__NR_close, host);
}

long exo_sock_join_twins(const struct exo_sock_end *end, uint32_t embryo, const void *to, long size)
{
    struct exo_sock *other = exo_sock_at(KR, embryo);
    struct exo_twin_name own = exo_twin_name('c', embryo, other->generation);
    long error = HOST_3(__NR_bind, end->fd.host, &own, sizeof(own));
    if (error == 0)
        error = host_wait(__NR_connect, end->fd.host, (long)to, size, 0, 0, 0);
    if (error == 0)
        fetch_or(&other->shut, (uint32_t)EXO_SHUT_QUEUED);
    return error;
}

void exo_sock_undo(struct exo_sock *sock, uint32_t embryo)
{
    exo_lock_acquire(&KR->net_lock);
    if (sock->peer == embryo)
        store_release(&sock->peer, 0);
    store_release(&exo_sock_at(KR, embryo)->peer, 0);
    exo_lock_release(&KR->net_lock);
    exo_object_free(KR, embryo);
    exo_object_hold(KR, 0);
}

static long connect_to(struct exo_sock_end *end, const struct exo_sock_name *to)
{
    struct exo_sock *sock = end->sock;
    bool bound = sock->bound != 0;
    store_release(&sock->shut, 0);
    uint32_t embryo = exo_sock_create(KR, EXO_SOCK_EMBRYO, sock->family, sock->protocol);
    if (embryo == 0)
        return -ENOBUFS;
    long listener = join_listener(end, embryo, to), error = listener < 0 ? listener : 0;
    if (error == 0) {
        struct exo_sock *there = exo_sock_at(KR, (uint32_t)listener);
        struct exo_twin_name name = exo_twin_name('l', (uint32_t)listener, there->generation);
        exo_sock_announce(KR, sock, (uint32_t)listener);
        fetch_or(&sock->shut, (uint32_t)EXO_SHUT_SYN);
        if (!exo_sock_is_connecting(KR, sock))
            fetch_and(&sock->shut, ~(uint32_t)EXO_SHUT_SYN);
        error = exo_sock_join_twins(end, embryo, &name, sizeof(name));
        if (error != 0) {
            exo_sock_advance(KR, (uint32_t)listener);
            fetch_and(&sock->shut, ~(uint32_t)EXO_SHUT_SYN);
            exo_sock_renew_twin(end);
        }
    }
    if (error != 0) {
        exo_sock_undo(sock, embryo);
        if (!bound) {
            exo_lock_acquire(&KR->net_lock);
            exo_sock_unbind_locked(KR, sock);
            exo_lock_release(&KR->net_lock);
        }
        fetch_or(&sock->shut, (uint32_t)EXO_SHUT_DEAF); /* there has been a reset */
        return error == -EAGAIN ? -ECONNREFUSED : error;
    }
    store_release(&sock->mode, (uint32_t)EXO_SOCK_CONNECTED);
    if (exo_watched(&sock->watch))
        exo_watchers_wake(&sock->watch, EXO_SOCK_ALL_EVENTS);
    exo_object_hold(KR, 0);
    return 0;
}

/* The listener's backlog is full: until it is not, the time is over or a signal comes. 0 or -errno. */
long exo_sock_await(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    const struct exo_sock *there = exo_sock_at(KR, sock->listener_of);
    uint64_t limit_ns = load_relaxed(&sock->timeout_ns[EXO_SOCK_OUT]);
    uint64_t ns = limit_ns != 0 ? limit_ns : TRIES_S * 1000000000UL;
    int64_t until[2];
    HOST_2(__NR_clock_gettime, 1, until);
    until[0] += (int64_t)(ns / 1000000000);
    until[1] += (int64_t)(ns % 1000000000);
    until[0] += until[1] / 1000000000;
    until[1] %= 1000000000;
    for (;;) {
        uint32_t seen = load_acquire(&there->accepted);
        if (!exo_sock_is_connecting(KR, sock) || !exo_sock_same(end))
            break;
        long slept = host_wait(__NR_futex, (long)&there->accepted, FUTEX_WAIT_BITSET, seen,
                               (long)until, 0, FUTEX_BITSET_MATCH_ANY);
        if (slept == -ETIMEDOUT)
            return limit_ns != 0 ? -EINPROGRESS : -ETIMEDOUT;
        if (slept != 0 && slept != -EAGAIN)
            return slept;
    }
    fetch_and(&sock->shut, ~(uint32_t)EXO_SHUT_SYN);
    uint32_t error = exchange(&sock->error, 0);
    return -(long)error;
}

static long finish(const struct exo_sock_end *end)
{
    long error = exo_sock_await(end);
    if (error == 0)
        fetch_or(&end->sock->shut, (uint32_t)EXO_SHUT_TOLD);
    return error;
}

/* Of a socket that has tried before: 1 if it is to try (again). */
static long earlier_try(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    uint32_t error;
    switch (load_acquire(&sock->mode)) {
    case EXO_SOCK_FRESH:
        error = exchange(&sock->error, 0);
        return error != 0 ? -(long)error : 1;
    case EXO_SOCK_CONNECTED:
        if (exo_sock_is_connecting(KR, sock)) {
            error = load_relaxed(&sock->nonblock) ? EALREADY : 0;
            return error != 0 ? -(long)error : finish(end);
        }
        return fetch_or(&sock->shut, (uint32_t)EXO_SHUT_TOLD) & EXO_SHUT_TOLD ? -EISCONN : 0;
    default:
        return -EISCONN;
    }
}

/* On Linux a connect(2) that does not wait is still under way when it returns, even here. */
static long outcome(const struct exo_sock_end *end, long error)
{
    struct exo_sock *sock = end->sock;
    bool waits = !load_relaxed(&sock->nonblock);
    if (waits && error == 0)
        return finish(end);
    if (waits || (error != 0 && error != -ECONNREFUSED))
        return error;
    if (error != 0)
        store_release(&sock->error, (uint32_t)-error);
    return -EINPROGRESS;
}

/* An address of this machine's at which a guest listens. */
static bool is_ours(const struct exo_sock_name *to, const struct exo_sockaddr *name, long size)
{
    struct exo_sockaddr own = *name;
    exo_lock_acquire(&KR->net_lock);
    uint32_t listener = exo_sock_listener_locked(KR, to);
    exo_lock_release(&KR->net_lock);
    long probe = listener == 0 ? -1 : HOST_3(__NR_socket, to->family, SOCK_DGRAM_, 0);
    if (probe < 0)
        return false;
    memset(own.data, 0, 2); /* any port */
    long error = HOST_3(__NR_bind, probe, &own, size);
    HOST_1(__NR_close, probe);
    return error == 0;
}

static long connect_own(struct exo_sock_end *end, uint64_t at, long size, bool *foreign)
{
    struct exo_sockaddr from;
    struct exo_sock_name to;
    *foreign = false;
    long error = exo_sockaddr_get(&from, at, size);
    if (error == 0 && size < 2)
        error = -EINVAL;
    if (error != 0)
        return error;
    if (exo_sock_is_udp(end->sock))
        return exo_udp_connect(end, &from, size, foreign);
    if (from.family == AF_UNSPEC_)
        return exo_sock_disconnect(end);
    error = earlier_try(end);
    if (error <= 0)
        return error;
    error = exo_sock_name_from(&to, &from, size, end->sock->family);
    if (error != 0)
        return error;
    if (exo_sock_is_any(&to))
        exo_sock_set_loopback(&to);
    *foreign = !exo_sock_is_loopback(&to) && !is_ours(&to, &from, size);
    return *foreign ? 0 : outcome(end, connect_to(end, &to));
}

SYSCALL(connect)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    bool foreign;
    if (entry == NULL)
        return -EBADF;
    if (!exo_sock_enter(&end, entry))
        return exo_pass(a, b, c, d, e, f);
    if (exo_sock_is_unix_dgram(end.sock))
        return exo_dgram_connect(&end, (uint64_t)b, (int)c);
    if (end.sock->family == AF_UNIX_)
        return exo_unix_connect(&end, (uint64_t)b, (int)c);
    long error = connect_own(&end, (uint64_t)b, (int)c, &foreign);
    if (foreign)
        error = exo_sock_to_host(&end);
    return foreign && error == 0 ? exo_pass(a, b, c, d, e, f) : error;
}
