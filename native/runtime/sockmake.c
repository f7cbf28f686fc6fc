/* socket(2), socketpair(2): making sockets, with their twins on the host. */
#include "file.h"
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "translate.h"

#define SOCK_TYPE_MASK 15

void exo_sock_install(int fd, int host, uint32_t number, long flags)
{
    uint16_t own = EXO_FD_OPEN | EXO_FD_SOCKET |
                   (flags & O_CLOEXEC_ ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0);
    struct exo_fd entry = {.host = host, .flags = own, .stamp = (uint16_t)number};
    exo_sock_at(KR, number)->nonblock = flags & O_NONBLOCK_ ? 1 : 0;
    exo_note_objects();
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
}

static long make_stream(uint16_t family, long flags)
{
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    long host = HOST_3(__NR_socket, AF_UNIX_, SOCK_STREAM_ | flags, 0);
    uint16_t protocol = family == AF_UNIX_ ? 0 : IPPROTO_TCP_;
    uint32_t number = host < 0 ? 0 : exo_sock_create(KR, EXO_SOCK_FRESH, family, protocol);
    if (number != 0) {
        exo_sock_install(fd, (int)host, number, flags);
        exo_object_hold(KR, 0);
        return fd;
    }
    if (host >= 0 && family == AF_UNIX_) /* no room: it is the host's, and works */
        return exo_fd_give(fd, (int)host, flags & O_CLOEXEC_);
    exo_fd_untake(fd);
    if (host >= 0)
        HOST_1(__NR_close, host);
    return host < 0 ? host : -ENOBUFS;
}

/* Whether exo has such sockets itself. */
static bool is_own(long family, long type, long protocol)
{
    if ((type & SOCK_TYPE_MASK) != SOCK_STREAM_ || (type & ~(SOCK_TYPE_MASK | SOCK_FLAGS)))
        return false;
    if (family == AF_UNIX_)
        return protocol == 0;
    return (family == AF_INET_ || family == AF_INET6_) &&
           (protocol == 0 || protocol == IPPROTO_TCP_) && !(KR->flags & EXO_KR_NET_HOST);
}

SYSCALL(socket)
{
    if (is_own((int)a, (int)b, (int)c))
        return make_stream((uint16_t)a, b & SOCK_FLAGS);
    return exo_pass(a, b, c, d, e, f);
}

/* Two of the host's, joined in the region if there is room. */
static void give_pair(const int *fds, const int *host, long flags)
{
    uint32_t one = exo_sock_create(KR, EXO_SOCK_CONNECTED, AF_UNIX_, 0), other = 0;
    if (one != 0) {
        exo_object_hold(KR, one << 16);
        other = exo_sock_create(KR, EXO_SOCK_CONNECTED, AF_UNIX_, 0);
    }
    if (other != 0) {
        exo_sock_join(KR, one, other);
        exo_sock_install(fds[0], host[0], one, flags);
        exo_sock_install(fds[1], host[1], other, flags);
    } else {
        exo_fd_give(fds[0], host[0], flags & O_CLOEXEC_);
        exo_fd_give(fds[1], host[1], flags & O_CLOEXEC_);
        if (one != 0)
            exo_object_unref(KR, (struct exo_fd){.flags = EXO_FD_SOCKET, .stamp = (uint16_t)one});
    }
    exo_object_hold(KR, 0);
}

static long make_pair(const int *fds, uint64_t to, long family, long type, long protocol)
{
    int host[2];
    if (guest_write(to, fds, 2 * sizeof(*fds)) != 0) /* before the sockets are made, as on Linux */
        return -EFAULT;
    long error = HOST_4(__NR_socketpair, family, type, protocol, host);
    if (error != 0)
        return error;
    if (family == AF_UNIX_ && (type & SOCK_TYPE_MASK) == SOCK_STREAM_) {
        give_pair(fds, host, type & SOCK_FLAGS);
        return 0;
    }
    exo_fd_give(fds[0], host[0], type & O_CLOEXEC_);
    exo_fd_give(fds[1], host[1], type & O_CLOEXEC_);
    return 0;
}

SYSCALL(socketpair)
{
    int fds[2];
    if ((int)b & ~(SOCK_TYPE_MASK | SOCK_FLAGS))
        return -EINVAL;
    fds[0] = exo_fd_take(0);
    if (fds[0] < 0)
        return fds[0];
    fds[1] = exo_fd_take(0);
    long error = fds[1] < 0 ? fds[1] : make_pair(fds, (uint64_t)d, (int)a, (int)b, (int)c);
    if (error == 0)
        return 0;
    exo_fd_untake(fds[0]);
    if (fds[1] >= 0)
        exo_fd_untake(fds[1]);
    return error;
}
