/* MSG_OOB of sockets whose contents are in the kernel region: urgent data is sent, and received.
 * See core/sockurgent.c. Source: send(2), recv(2), tcp(7), unix(7).
 */
#include "sock.h"
#include "translate.h"

/* Up to the urgent byte, or past it; under output. *stop: what is read ends there. */
long exo_sock_pull_urgent(struct exo_sock *sock, struct exo_span *span, long flags, uint32_t *past,
                          bool *stop)
{
    uint32_t distance = exo_sock_to_urgent(sock) - *past;
    uint64_t left = span->left, limit = left;
    bool peeks = flags & MSG_PEEK_;
    if (*stop && distance == 0)
        return 0;
    *stop = false;
    if (distance == 0 && !sock->options[EXO_SOCK_OOBINLINE]) {
        if (!peeks)
            exo_sock_drop_locked(sock, 1);
        *past += peeks;
    } else if (distance != 0 && distance <= EXO_SOCK_SIZE) {
        limit = distance;
    }
    span->left = left < limit ? left : limit;
    uint64_t rest = left - span->left;
    long got =
        peeks ? exo_sock_peek_locked(KR, sock, *past, span) : exo_sock_pull_locked(KR, sock, span);
    span->left += rest;
    *past += peeks && got > 0 ? (uint32_t)got : 0;
    *stop = got > 0 && (uint64_t)got == limit && limit == distance;
    exo_sock_pass_urgent_locked(sock);
    return got;
}

static long copy_urgent_locked(struct exo_sock *sock, struct exo_span *span, long flags)
{
    uint32_t distance = exo_sock_to_urgent(sock);
    if (distance == UINT32_MAX || sock->options[EXO_SOCK_OOBINLINE] ||
        load_relaxed(&sock->urgent) != EXO_URGENT_THERE)
        return -EINVAL;
    uint64_t left = span->left;
    bool copies = left != 0 && !((flags & MSG_TRUNC_) && sock->family != AF_UNIX_);
    span->left = copies ? 1 : 0;
    long got = copies ? exo_sock_peek_locked(KR, sock, distance, span) : 0;
    span->left = left;
    if (got < 0)
        return got;
    if (!(flags & MSG_PEEK_))
        store_release(&sock->urgent, (uint32_t)EXO_URGENT_READ);
    return left != 0;
}

long exo_sock_receive_urgent(struct exo_fd *at, struct exo_span *span, long flags)
{
    struct exo_sock_end end;
    long got = EXO_SOCK_AGAIN;
    if (!exo_sock_enter(&end, at))
        return got;
    exo_lock_acquire(&end.sock->output);
    if (exo_sock_same(&end))
        got = copy_urgent_locked(end.sock, span, flags);
    exo_lock_release(&end.sock->output);
    return got;
}

/* The last of span, which has room, is urgent; under input. */
long exo_sock_push_urgent_locked(struct exo_sock *to, struct exo_span *span)
{
    exo_lock_acquire(&to->output);
    long done = exo_sock_push_locked(KR, to, span);
    if (done > 0 && span->left == 0)
        exo_sock_set_urgent_locked(to);
    exo_lock_release(&to->output);
    return done;
}
