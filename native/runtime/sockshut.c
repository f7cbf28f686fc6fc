/* shutdown(2), and connect(2) with AF_UNSPEC, of sockets whose contents are in the kernel region. */
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

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
    exo_sock_renew_twin(end); /* which wakes the other side, too */
    return 0;
}

/* Who waits to accept is told by the host; then there is a new twin, for what comes. */
static long end_listening(const struct exo_sock_end *end)
{
    exo_sock_unlisten(KR, end->fd.stamp);
    HOST_2(__NR_shutdown, end->fd.host, 2);
    exo_sock_renew_twin(end);
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
    bool over = !is_unix && (!connected || exo_sock_is_closed(sock));
    if (writes && !(load_relaxed(&sock->shut) & EXO_SHUT_END))
        fetch_or(&sock->shut, (uint32_t)EXO_SHUT_FIRST);
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
