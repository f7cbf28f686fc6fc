/* TCP and UDP sockets that leave the instance's loopback: bound or connected to an address outside of it, they are
 * the host's own.
 */
#include "sockhost.h"
#include "../core/watch.h"
#include "epoll.h"
#include "sockpacket.h"
#include "sockrows.h"
#include "translate.h"

void exo_sock_make_plain(struct exo_sock_end *end)
{
    struct exo_fd plain = end->fd;
    plain.flags &= (uint16_t)~EXO_FD_SOCKET;
    plain.stamp = 0;
    if (exo_fd_make_plain(end->at, end->fd, plain))
        end->fd = plain;
}

/* Has the address and port that it has here, or another port where that is not free. */
static long bind_there(const struct exo_sock *sock, int host)
{
    struct exo_sockaddr name;
    int32_t size = exo_sockaddr_of(&sock->local, &name);
    if (sock->bound == 0)
        return 0;
    long error = HOST_3(__NR_bind, host, &name, size);
    if (error == -EADDRINUSE && !(sock->udp & EXO_UDP_PORT)) {
        memset(name.data, 0, 2);
        error = HOST_3(__NR_bind, host, &name, size);
    }
    return error;
}

long exo_sock_to_host(struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    bool udp = exo_sock_is_udp(sock);
    if (load_acquire(&sock->mode) != EXO_SOCK_FRESH && !udp)
        return -EISCONN;
    long flags = sock->nonblock ? O_NONBLOCK_ : 0;
    long host = HOST_3(__NR_socket, sock->family, (udp ? SOCK_DGRAM_ : SOCK_STREAM_) | flags,
                       sock->protocol);
    if (host < 0)
        return host;
    exo_sock_replay(sock, (int)host);
    long error = udp ? bind_there(sock, (int)host) : 0;
    if (error == 0 && udp)
        exo_udp_note_host((int)host);
    if (error == 0)
        error = HOST_3(__NR_dup3, host, end->fd.host,
                       end->fd.flags & EXO_FD_HOST_CLOEXEC ? O_CLOEXEC_ : 0);
    HOST_1(__NR_close, host);
    if (error < 0)
        return error;
    store_release(&end->sock->mode, (uint32_t)EXO_SOCK_HOST);
    if (exo_watched(&sock->watch))
        exo_watches_begin_anew(end->fd);
    exo_sock_make_plain(end);
    return 0;
}
