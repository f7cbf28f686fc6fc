/* connect(2) and shutdown(2) of sockets whose contents are in the kernel region; see sockmake.c. */
#include "../core/watch.h"
#include "epoll.h"
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "sockunix.h"
#include "translate.h"

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
        long error = exo_sock_bind_locked(KR, sock, &own);
        if (error != 0)
            return -EADDRNOTAVAIL;
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

/* A twin has one name in its life: a new one for the next try. */
static void renew_twin(const struct exo_sock_end *end)
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
        exo_sock_announce(KR, (uint32_t)listener);
        error = exo_sock_join_twins(end, embryo, &name, sizeof(name));
        if (error != 0) {
            fetch_add(&there->pending, (uint32_t)-1);
            renew_twin(end);
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

/* Of a socket that has tried before: 1 if it is to try (again). */
static long earlier_try(struct exo_sock *sock)
{
    uint32_t error;
    switch (load_acquire(&sock->mode)) {
    case EXO_SOCK_FRESH:
        error = exchange(&sock->error, 0);
        return error != 0 ? -(long)error : 1;
    case EXO_SOCK_CONNECTED:
        return fetch_or(&sock->shut, (uint32_t)EXO_SHUT_TOLD) & EXO_SHUT_TOLD ? -EISCONN : 0;
    default:
        return -EISCONN;
    }
}

/* On Linux a connect(2) that does not wait is still under way when it returns, even here. */
static long outcome(struct exo_sock *sock, long error)
{
    bool waits = !load_relaxed(&sock->nonblock);
    if (waits && error == 0)
        fetch_or(&sock->shut, (uint32_t)EXO_SHUT_TOLD);
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
    error = earlier_try(end->sock);
    if (error <= 0)
        return error;
    error = exo_sock_name_from(&to, &from, size, end->sock->family);
    if (error != 0)
        return error;
    if (exo_sock_is_any(&to))
        exo_sock_set_loopback(&to);
    *foreign = !exo_sock_is_loopback(&to) && !is_ours(&to, &from, size);
    return *foreign ? 0 : outcome(end->sock, connect_to(end, &to));
}

/* Whether the twin has a name that is the guest's affair. */
static bool is_named(const struct exo_sock_end *end)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name);
    return HOST_3(__NR_getsockname, end->fd.host, &name, &size) != 0 || size > 2;
}

/* To a guest that listens; *own is false if it was somebody else, after all. */
static long connect_guest(struct exo_sock_end *end, const struct exo_sockaddr *to, long size,
                          uint32_t listener, bool *own)
{
    struct exo_sock *sock = end->sock;
    uint32_t embryo = exo_sock_create(KR, EXO_SOCK_EMBRYO, AF_UNIX_, 0);
    *own = embryo != 0;
    if (embryo == 0)
        return host_wait(__NR_connect, end->fd.host, (long)to, size, 0, 0, 0);
    exo_sock_at(KR, embryo)->listener = listener;
    exo_sock_at(KR, embryo)->type = sock->type;
    exo_sock_at(KR, embryo)->limit = sock->limit;
    long error = exo_sock_join(KR, end->fd.stamp, embryo)
                     ? exo_sock_join_twins(end, embryo, to, size)
                     : -EISCONN;
    *own = error == 0 && exo_unix_is_listener(end->fd.host, listener);
    if (*own) {
        store_release(&sock->mode, (uint32_t)EXO_SOCK_CONNECTED);
        exo_object_hold(KR, 0);
        return 0;
    }
    if (error != 0 && error != -EISCONN)
        renew_twin(end);
    exo_sock_undo(sock, embryo);
    return error;
}

static long connect_unix(struct exo_sock_end *end, uint64_t at, long size)
{
    struct exo_sockaddr to;
    bool own = false;
    long error = exo_sockaddr_get(&to, at, size);
    if (error != 0)
        return error;
    bool fresh = load_acquire(&end->sock->mode) == EXO_SOCK_FRESH;
    uint32_t listener = fresh ? exo_unix_listener(&to, size) : 0, was = EXO_SOCK_FRESH;
    error = listener != 0 && !is_named(end)
                ? connect_guest(end, &to, size, listener, &own)
                : host_wait(__NR_connect, end->fd.host, (long)&to, size, 0, 0, 0);
    if (error == 0 && !own && compare_exchange(&end->sock->mode, &was, (uint32_t)EXO_SOCK_HOST))
        exo_sock_make_plain(end);
    return error;
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
    if (end.sock->type == EXO_SOCK_DGRAM && end.sock->family == AF_UNIX_)
        return exo_packet_connect(&end, b, (int)c);
    if (end.sock->family == AF_UNIX_)
        return connect_unix(&end, (uint64_t)b, (int)c);
    long error = connect_own(&end, (uint64_t)b, (int)c, &foreign);
    if (foreign)
        error = exo_sock_to_host(&end);
    return foreign && error == 0 ? exo_pass(a, b, c, d, e, f) : error;
}

/* connect(2) with AF_UNSPEC: a reset for the other side, and a socket that may connect anew. */
long exo_sock_disconnect(struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    if (load_acquire(&sock->mode) != EXO_SOCK_CONNECTED)
        return 0;
    exo_lock_acquire(&KR->net_lock);
    uint32_t peer = sock->peer;
    if (peer != 0) {
        struct exo_sock *other = exo_sock_at(KR, peer);
        store_release(&other->error, (uint32_t)ECONNRESET);
        fetch_or(&other->shut, (uint32_t)(EXO_SHUT_END | EXO_SHUT_GONE | EXO_SHUT_DEAF));
        store_release(&other->peer, 0);
        store_release(&sock->peer, 0);
    }
    exo_sock_unbind_locked(KR, sock);
    exo_lock_release(&KR->net_lock);
    exo_lock_acquire(&sock->output);
    exo_sock_drop_locked(sock, exo_sock_size(sock));
    exo_lock_release(&sock->output);
    store_release(&sock->shut, 0);
    store_release(&sock->mode, (uint32_t)EXO_SOCK_FRESH);
    renew_twin(end); /* which wakes the other side, too */
    return 0;
}

/* Who waits to accept is told by the host; then there is a new twin, for what comes. */
static long end_listening(const struct exo_sock_end *end)
{
    exo_sock_unlisten(KR, end->fd.stamp);
    HOST_2(__NR_shutdown, end->fd.host, 2);
    renew_twin(end);
    return 0;
}

SYSCALL(shutdown)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    uint32_t how = (uint32_t)b;
    if (entry == NULL || !exo_sock_enter(&end, entry))
        return exo_pass(a, b, c, d, e, f);
    if (how > 2)
        return -EINVAL;
    struct exo_sock *sock = end.sock;
    if (sock->type != 0)
        return exo_packet_shutdown(&end, how);
    if (load_acquire(&sock->mode) == EXO_SOCK_LISTENS)
        return how == 1 ? 0 : end_listening(&end);
    bool reads = how != 1, writes = how != 0, is_unix = sock->family == AF_UNIX_;
    bool connected = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED;
    bool over = !is_unix && (!connected || (load_relaxed(&sock->shut) & EXO_SHUT_DEAF));
    fetch_or(&sock->shut,
             (uint32_t)((reads ? EXO_SHUT_READS : 0) | (writes ? EXO_SHUT_WRITES : 0)));
    if (over || !connected) /* or it has been reset */
        return over ? -ENOTCONN : 0;
    exo_lock_acquire(&KR->net_lock);
    uint32_t peer = sock->peer;
    if (peer != 0)
        fetch_or(&exo_sock_at(KR, peer)->shut,
                 (uint32_t)((writes ? EXO_SHUT_END | EXO_SHUT_FIN : 0) |
                            (reads && is_unix ? EXO_SHUT_DEAF : 0)));
    exo_lock_release(&KR->net_lock);
    exo_sock_stir(&end, peer);
    exo_sock_rouse(&end, reads, writes);
    return 0;
}
