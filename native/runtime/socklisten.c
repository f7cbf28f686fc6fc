/* listen(2) and accept(2) of sockets whose contents are in the kernel region.
 *
 * A listener's twin listens under an abstract name that has the listener's number. Who connects makes
 * both sides, gives its twin a name that has the number of the side that is to be accepted, and connects
 * the twins: so the host's queue holds the connections, and who accepts one learns its number with it.
 */
#include "file.h"
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockunix.h"
#include "translate.h"

#define LISTEN_MAX 4096

static long become_listener(struct exo_sock *sock)
{
    struct exo_sock_name any = {.family = sock->family};
    exo_lock_acquire(&KR->net_lock);
    long error = sock->bound == 0 ? exo_sock_bind_locked(KR, sock, &any) : 0;
    if (error == 0 && !exo_sock_may_listen_locked(KR, sock))
        error = -EADDRINUSE;
    if (error == 0)
        store_release(&sock->mode, (uint32_t)EXO_SOCK_LISTENS);
    exo_lock_release(&KR->net_lock);
    return error;
}

/* The host does it all; who connects is to know that we are here. */
static void become_unix_listener(struct exo_sock_end *end, bool own)
{
    uint32_t fresh = EXO_SOCK_FRESH;
    exo_unix_listens(end->fd.host);
    if (own && compare_exchange(&end->sock->mode, &fresh, (uint32_t)EXO_SOCK_HOST))
        exo_sock_make_plain(end);
}

SYSCALL(listen)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    if (entry == NULL)
        return -EBADF;
    bool own = exo_sock_enter(&end, entry);
    if (!own || end.sock->family == AF_UNIX_) {
        long error = exo_pass(a, b, c, d, e, f);
        if (error == 0)
            become_unix_listener(&end, own);
        return error;
    }
    struct exo_sock *sock = end.sock;
    if (sock->type != 0)
        return -EOPNOTSUPP;
    store_release(&sock->backlog, (uint32_t)b < LISTEN_MAX ? (uint32_t)b : LISTEN_MAX);
    if (load_acquire(&sock->mode) == EXO_SOCK_LISTENS)
        return 0;
    if (load_acquire(&sock->mode) != EXO_SOCK_FRESH)
        return -EINVAL;
    struct exo_twin_name name = exo_twin_name('l', end.fd.stamp, sock->generation);
    long error = HOST_3(__NR_bind, end.fd.host, &name, sizeof(name));
    if (error == 0 || error == -EINVAL)
        error = HOST_2(__NR_listen, end.fd.host, LISTEN_MAX);
    return error != 0 ? error : become_listener(sock);
}

/* The side that a connection's name says, if nobody has accepted it yet; held, 0: there is none. */
static uint32_t claim(const struct exo_twin_name *name, long size)
{
    if (!exo_twin_is(name, size, 'c'))
        return 0;
    uint32_t number = name->number, embryo = EXO_SOCK_EMBRYO;
    struct exo_sock *sock = exo_sock_at(KR, number);
    exo_object_hold(KR, number);
    if (sock->generation == name->generation && (load_acquire(&sock->shut) & EXO_SHUT_NEVER)) {
        if (compare_exchange(&sock->mode, &embryo, (uint32_t)EXO_SOCK_CONNECTED))
            exo_object_free(KR, number);
    } else if (sock->generation == name->generation &&
               compare_exchange(&sock->mode, &embryo, (uint32_t)EXO_SOCK_CONNECTED)) {
        fetch_add(&sock->ends, EXO_ENDS_CHANGE + 1);
        fetch_or(&sock->shut, (uint32_t)EXO_SHUT_TOLD);
        return number;
    }
    exo_object_hold(KR, 0);
    return 0;
}

/* Who was beyond the backlog until now, and may sleep. */
static void tell_connected(int fd, uint32_t number)
{
    struct exo_sock_end end;
    uint32_t peer = load_acquire(&exo_sock_at(KR, number)->peer);
    if (peer == 0 ||
        !(fetch_and(&exo_sock_at(KR, peer)->shut, ~(uint32_t)EXO_SHUT_SYN) & EXO_SHUT_SYN))
        return;
    if (exo_sock_enter(&end, exo_fd_at(KR, area()->task->fd_table, fd)))
        exo_sock_stir(&end, peer);
}

/* A connection of the host's queue; another one if the first is none of exo's. */
static long accept_at(struct exo_fd *entry, int fd, uint64_t to, uint64_t size_at, long flags)
{
    struct exo_sock_end end;
    for (;;) {
        struct exo_sockaddr name;
        int32_t size = sizeof(name);
        bool own = exo_sock_enter(&end, entry);
        if (own && end.sock->mode != EXO_SOCK_LISTENS)
            return -EINVAL;
        int32_t pending = own ? exo_sock_pending(end.sock) : 0;
        long host = host_wait(__NR_accept4, end.fd.host, (long)&name, (long)&size, flags, 0, 0);
        if (host == -EAGAIN && pending > 0)
            exo_sock_recount(KR, end.fd.stamp, (uint32_t)pending);
        if (host < 0)
            return host;
        if (own)
            exo_sock_advance(KR, end.fd.stamp);
        uint32_t number = claim((const struct exo_twin_name *)&name, size);
        if (number == 0 && own) {
            HOST_1(__NR_close, host);
            continue;
        }
        const struct exo_sock *sock = exo_sock_at(KR, number);
        if (number != 0)
            size = sock->family == AF_UNIX_ ? exo_unix_client_name(sock, &name)
                                            : exo_sockaddr_of(&sock->remote, &name);
        long error = exo_sockaddr_put(&name, size, to, size_at);
        if (number == 0 && error == 0)
            exo_fd_give(fd, (int)host, flags & O_CLOEXEC_);
        if (number != 0) {
            exo_sock_install(fd, (int)host, number, flags);
            exo_object_hold(KR, 0);
            tell_connected(fd, number);
        }
        return error;
    }
}

static long do_accept(int from, uint64_t to, uint64_t size_at, long flags)
{
    struct exo_fd *entry = exo_fd_entry(from);
    int32_t size = 0;
    if (entry == NULL || (flags & ~(long)SOCK_FLAGS))
        return entry == NULL ? -EBADF : -EINVAL;
    struct exo_sock_end end;
    if (exo_sock_enter(&end, entry) && load_acquire(&end.sock->mode) != EXO_SOCK_LISTENS)
        return end.sock->type == EXO_SOCK_DGRAM ? -EOPNOTSUPP : -EINVAL;
    if (to != 0 && guest_get(&size, size_at) != 0)
        return -EFAULT;
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    long error = size < 0 ? -EINVAL : accept_at(entry, fd, to, to == 0 ? 0 : size_at, flags);
    if (error == 0)
        return fd;
    if (load_relaxed(&exo_fd_at(KR, area()->task->fd_table, fd)->host) == EXO_FD_HOST_RESERVED)
        exo_fd_untake(fd);
    return error;
}

SYSCALL(accept)
{
    return do_accept((int)a, (uint64_t)b, (uint64_t)c, 0);
}

SYSCALL(accept4)
{
    return do_accept((int)a, (uint64_t)b, (uint64_t)c, (int)d);
}
