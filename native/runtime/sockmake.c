/* socket(2), socketpair(2): making sockets, with their twins on the host. */
#include "file.h"
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

#define SOCK_TYPE_MASK 15
#define SOCK_RAW_ 3 /* of AF_UNIX: datagrams */

void exo_sock_install(int fd, int host, uint32_t number, long flags)
{
    uint16_t own = EXO_FD_OPEN | EXO_FD_SOCKET |
                   (flags & O_CLOEXEC_ ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0);
    struct exo_fd entry = {.host = host, .flags = own, .stamp = (uint16_t)number};
    exo_sock_at(KR, number)->nonblock = flags & O_NONBLOCK_ ? 1 : 0;
    exo_note_objects();
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
}

/* Fresh, with its limits; UDP's twin has a name, by which it is rung. */
static uint32_t make_object(int host, uint16_t family, uint16_t type)
{
    bool inet = family != AF_UNIX_, dgram = type == SOCK_DGRAM_;
    uint16_t protocol = !inet ? 0 : dgram ? IPPROTO_UDP_ : IPPROTO_TCP_;
    uint32_t number = exo_sock_create(KR, EXO_SOCK_FRESH, family, protocol);
    struct exo_sock *sock = exo_sock_at(KR, number);
    if (number == 0 || type == SOCK_STREAM_)
        return number;
    sock->type = type;
    exo_packet_note_limit(sock, host);
    struct exo_twin_name name = exo_twin_name('d', number, sock->generation);
    if (dgram && inet)
        HOST_3(__NR_bind, host, &name, sizeof(name));
    return number;
}

static long make_socket(uint16_t family, uint16_t type, long flags)
{
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    long host = HOST_3(__NR_socket, AF_UNIX_, type | flags, 0);
    uint32_t number = host < 0 ? 0 : make_object((int)host, family, type);
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
    return host < 0 ? host : -ENFILE;
}

/* Whether exo has such sockets itself. */
static bool is_own(long family, long type, long protocol)
{
    long kind = type & SOCK_TYPE_MASK;
    if (type & ~(SOCK_TYPE_MASK | SOCK_FLAGS))
        return false;
    if (family == AF_UNIX_)
        return protocol == 0 && (kind == SOCK_STREAM_ || kind == SOCK_SEQPACKET_ ||
                                 kind == SOCK_DGRAM_ || kind == SOCK_RAW_);
    if ((family != AF_INET_ && family != AF_INET6_) || (KR->flags & EXO_KR_NET_HOST))
        return false;
    return (kind == SOCK_STREAM_ && (protocol == 0 || protocol == IPPROTO_TCP_)) ||
           (kind == SOCK_DGRAM_ && (protocol == 0 || protocol == IPPROTO_UDP_));
}

SYSCALL(socket)
{
    long kind = b & SOCK_TYPE_MASK;
    if (is_own((int)a, (int)b, (int)c))
        return make_socket((uint16_t)a, kind == SOCK_RAW_ ? SOCK_DGRAM_ : (uint16_t)kind,
                           b & SOCK_FLAGS);
    return exo_pass(a, b, c, d, e, f);
}

static void suit(struct exo_sock *sock, uint32_t type, int host)
{
    if (type == SOCK_STREAM_)
        return;
    sock->type = type;
    exo_packet_note_limit(sock, host);
}

/* Two of the host's, joined in the region if there is room. */
static void give_pair(const int *fds, const int *host, uint32_t type, long flags)
{
    uint32_t one = exo_sock_create(KR, EXO_SOCK_CONNECTED, AF_UNIX_, 0), other = 0;
    if (one != 0) {
        exo_object_hold(KR, one << 16);
        other = exo_sock_create(KR, EXO_SOCK_CONNECTED, AF_UNIX_, 0);
    }
    if (other != 0) {
        suit(exo_sock_at(KR, one), type, host[0]);
        suit(exo_sock_at(KR, other), type, host[1]);
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
    long kind = type & SOCK_TYPE_MASK;
    give_pair(fds, host, (uint32_t)(kind == SOCK_RAW_ ? SOCK_DGRAM_ : kind), type & SOCK_FLAGS);
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
