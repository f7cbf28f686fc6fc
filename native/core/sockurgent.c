/* Urgent data of stream sockets: one byte, which stays in the ring where it was sent; a mark says where.
 * Reading stops before it, and passes it over unless SO_OOBINLINE is set. MSG_OOB copies it.
 *
 * Rules: as sock.c. Source: tcp(7), unix(7), tcp_check_urg() and manage_oob() of Linux.
 */
#include "sock.h"

static uint32_t tail_of(const struct exo_sock *from)
{
    uint32_t start = load_relaxed(&from->start), tail = load_acquire(&from->tail);
    return (int32_t)(start - tail) > 0 ? start : tail;
}

/* TCP passes over a byte at which reading stands when another one comes. */
void exo_sock_set_urgent_locked(struct exo_sock *to)
{
    bool stands = load_acquire(&to->urgent) != EXO_URGENT_NONE && exo_sock_to_urgent(to) == 0;
    if (stands && to->family != AF_UNIX_ && !to->options[EXO_SOCK_OOBINLINE] &&
        exo_sock_size(to) > 1)
        exo_sock_drop_locked(to, 1);
    to->urgent_at = to->head - 1;
    store_release(&to->urgent, (uint32_t)EXO_URGENT_THERE);
}

uint32_t exo_sock_to_urgent(const struct exo_sock *from)
{
    if (load_acquire(&from->urgent) == EXO_URGENT_NONE)
        return UINT32_MAX;
    uint32_t distance = load_relaxed(&from->urgent_at) - tail_of(from);
    return distance <= EXO_SOCK_SIZE ? distance : UINT32_MAX;
}

void exo_sock_pass_urgent_locked(struct exo_sock *from)
{
    if (exo_sock_to_urgent(from) == UINT32_MAX)
        store_release(&from->urgent, (uint32_t)EXO_URGENT_NONE);
}

uint32_t exo_sock_readable(const struct exo_sock *sock)
{
    uint32_t size = exo_sock_size(sock);
    bool counts = sock->family == AF_UNIX_ && load_relaxed(&sock->urgent) == EXO_URGENT_THERE;
    bool over = !counts && load_relaxed(&sock->urgent) != EXO_URGENT_NONE && size != 0 &&
                !sock->options[EXO_SOCK_OOBINLINE] && exo_sock_to_urgent(sock) == 0;
    return size - over;
}
