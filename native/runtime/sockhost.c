/* TCP sockets that leave the instance's loopback: bound or connected to an address outside of it, they are
 * the host's own.
 */
#include "sockhost.h"
#include "epoll.h"
#include "translate.h"

void exo_sock_make_plain(struct exo_sock_end *end)
{
    struct exo_fd plain = end->fd;
    plain.flags &= (uint16_t)~EXO_FD_SOCKET;
    plain.stamp = 0;
    if (exo_fd_make_plain(end->at, end->fd, plain))
        end->fd = plain;
}

long exo_sock_to_host(struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    if (load_acquire(&sock->mode) != EXO_SOCK_FRESH)
        return -EISCONN;
    long flags = sock->nonblock ? O_NONBLOCK_ : 0;
    long host = HOST_3(__NR_socket, sock->family, SOCK_STREAM_ | flags, IPPROTO_TCP_);
    if (host < 0)
        return host;
    exo_sock_replay(sock, (int)host);
    long error =
        HOST_3(__NR_dup3, host, end->fd.host, end->fd.flags & EXO_FD_HOST_CLOEXEC ? O_CLOEXEC_ : 0);
    HOST_1(__NR_close, host);
    if (error < 0)
        return error;
    store_release(&end->sock->mode, (uint32_t)EXO_SOCK_HOST);
    exo_sock_make_plain(end);
    return 0;
}
