/* Receiving from a stream socket: from its ring in the kernel region, without the host unless somebody
 * sleeps. socksend.c sends.
 *
 * Rules: a lock is held for copies only, one at a time, and whoever holds it looks whether the entry is
 * the same still: while it is, its socket is. Source: recv(2), unix(7), tcp(7).
 */
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

bool exo_sock_enter(struct exo_sock_end *end, struct exo_fd *at)
{
    end->at = at;
    end->fd = exo_fd_now(at);
    if (end->fd.host < 0 || !(end->fd.flags & EXO_FD_SOCKET))
        return false;
    end->sock = exo_sock_at(KR, end->fd.stamp);
    end->to = NULL;
    if (unlikely(load_acquire(&end->sock->mode) == EXO_SOCK_HOST)) {
        exo_sock_make_plain(end);
        return false;
    }
    return true;
}

static void tell_reader_or_writer(const struct exo_sock_end *end, int what)
{
    uint32_t peer = load_relaxed(&end->sock->peer);
    if (peer != 0)
        exo_sock_ring(end, exo_sock_at(KR, peer), what);
}

/* Up to a mark only, and beyond it no further than what came with it: *last, then. The mark is set before its bytes
 * are there. */
static long pull_to_mark(const struct exo_sock_end *end, struct exo_span *span,
                         struct exo_rights *rights, bool *last)
{
    uint32_t size, distance = exo_sock_to_mark(end->sock, &size);
    uint64_t left = span->left;
    *last = false;
    if (distance == UINT32_MAX)
        return exo_sock_pull_locked(KR, end->sock, span);
    *last = distance == 0 && exo_sock_size(end->sock) != 0;
    if (*last) {
        exo_sock_take_rights(end, rights);
        exo_sock_pass_mark_locked(end->sock);
    }
    uint64_t limit = *last ? size : distance;
    span->left = left < limit ? left : limit;
    uint64_t rest = left - span->left;
    long got = exo_sock_pull_locked(KR, end->sock, span);
    span->left += rest;
    return got;
}

/* Up to the end of what came with the next mark, as Linux has it: *last, then. */
static long peek_to_mark(const struct exo_sock_end *end, struct exo_span *span, uint32_t *past,
                         struct exo_rights *rights, bool *last)
{
    uint32_t size, distance = exo_sock_to_mark(end->sock, &size);
    uint64_t left = span->left, limit = left;
    if (distance != UINT32_MAX)
        limit = distance + size > *past ? distance + size - *past : 0;
    span->left = left < limit ? left : limit;
    uint64_t rest = left - span->left;
    long got = exo_sock_peek_locked(KR, end->sock, *past, span);
    span->left += rest;
    *past += got > 0 ? (uint32_t)got : 0;
    *last = distance != UINT32_MAX && *past > distance;
    if (distance != UINT32_MAX && got > 0 && rights != NULL && rights->size == 0)
        exo_sock_peek_rights(end, rights); /* however little of it is looked at */
    return got;
}

/* TCP's MSG_TRUNC: gone, or passed over, without being copied. */
static long drop(struct exo_sock *sock, struct exo_span *span, long flags, uint32_t *past)
{
    uint32_t size = exo_sock_size(sock);
    size -= size < *past ? size : *past;
    long got = span->left < size ? (long)span->left : (long)size;
    if (flags & MSG_PEEK_)
        *past += (uint32_t)got;
    else
        exo_sock_drop_locked(sock, (uint32_t)got);
    span->left -= (uint64_t)got;
    return got;
}

/* What is there, at most; *past is how much has been looked at without being taken. */
static long take(const struct exo_sock_end *end, struct exo_span *span, long flags, uint32_t *past,
                 struct exo_rights *rights, bool *last)
{
    struct exo_sock *sock = end->sock;
    long got = EXO_SOCK_AGAIN;
    exo_lock_acquire(&sock->output);
    if (likely(exo_sock_same(end))) {
        bool drops = (flags & MSG_TRUNC_) && sock->family != AF_UNIX_;
        if (unlikely(load_relaxed(&sock->urgent) != EXO_URGENT_NONE) && !drops &&
            exo_sock_to_urgent(sock) != UINT32_MAX) {
            got = exo_sock_pull_urgent(sock, span, flags, past, last);
        } else if (likely(!(flags & MSG_PEEK_) && !drops)) {
            got = pull_to_mark(end, span, rights, last);
        } else if (!drops) {
            got = peek_to_mark(end, span, past, rights, last);
        } else {
            *last = false;
            got = drop(sock, span, flags, past);
        }
    }
    exo_lock_release(&sock->output);
    return got;
}

/* What stopped at a mark goes on if there is something behind it. */
static bool has_more(const struct exo_sock_end *end, long flags)
{
    uint32_t size;
    return !(flags & (MSG_PEEK_ | MSG_TRUNC_)) && exo_sock_size(end->sock) != 0 &&
           exo_sock_to_mark(end->sock, &size) == 0;
}

/* Less than SO_RCVLOWAT, and than is asked for, of which a call that waits takes nothing. */
static bool is_too_little(const struct exo_sock *sock, uint64_t asked)
{
    uint32_t size = exo_sock_size(sock);
    return size <= load_relaxed(&sock->low_water) && size < asked &&
           load_relaxed(&sock->error) == 0;
}

/* Nothing comes any more. */
static bool is_over(const struct exo_sock *sock)
{
    return (load_acquire(&sock->shut) & (EXO_SHUT_READS | EXO_SHUT_END)) ||
           load_acquire(&sock->peer) == 0;
}

/* A call that waits does so until there is enough, or what there is is all that comes: 0 or -errno. */
static long await_enough(const struct exo_sock_end *end, uint64_t asked, long flags)
{
    struct exo_sock *sock = end->sock;
    long error = 0;
    while (error == 0 && exo_sock_may_wait(sock, flags) && is_too_little(sock, asked) &&
           !is_over(sock) && exo_sock_same(end))
        error = exo_sock_wait(end, EXO_SOCK_IN);
    return exo_sock_size(sock) == 0 ? error : 0;
}

/* Nothing to read: 1 if there will never be, 0 if it is worth a wait, or -errno. */
static long ended(struct exo_sock *sock, bool over)
{
    if (sock->family != AF_UNIX_ && (load_relaxed(&sock->shut) & EXO_SHUT_FIN))
        return 1; /* and keeps its error */
    uint32_t error = load_relaxed(&sock->error) != 0 ? exchange(&sock->error, 0) : 0;
    return error != 0 ? -(long)error : over || is_over(sock);
}

/* Not connected; after a connect(2) that was refused there is an end. */
static long refuse_reading(struct exo_sock *sock)
{
    uint32_t error = load_relaxed(&sock->error) != 0 ? exchange(&sock->error, 0) : 0;
    if (error != 0)
        return -(long)error;
    if (sock->family == AF_UNIX_)
        return -EINVAL;
    return load_relaxed(&sock->shut) & (EXO_SHUT_DEAF | EXO_SHUT_READS) ? 0 : -ENOTCONN;
}

static void after_take(const struct exo_sock_end *end, long flags)
{
    if (unlikely(load_relaxed(&end->sock->signals)))
        exo_sock_take_bells(end);
    if (!(flags & MSG_PEEK_))
        tell_reader_or_writer(end, EXO_SOCK_OUT);
    exo_sock_hush(end);
}

/* No bytes were wanted of those that it has waited for: who has sent them is told. */
static long took_nothing(struct exo_rights *rights)
{
    if (rights != NULL)
        rights->whole = true;
    return 0;
}

long exo_sock_receive(struct exo_fd *at, struct exo_span *span, long flags,
                      struct exo_rights *rights)
{
    struct exo_sock_end end;
    uint32_t past = 0;
    long sum = 0;
    for (;;) {
        if (unlikely(!exo_sock_enter(&end, at)))
            return sum > 0 ? sum : EXO_SOCK_AGAIN;
        if (unlikely(end.sock->type != 0))
            return exo_packet_receive(at, span, flags, rights);
        if (unlikely(!exo_sock_is_connected(end.sock)))
            return refuse_reading(end.sock);
        exo_sock_note_use(end.sock);
        bool over = is_over(end.sock); /* before what is there, which is the last then */
        bool last = sum > 0;
        if (unlikely(load_relaxed(&end.sock->low_water) != 0) && !over && sum == 0) {
            long error = await_enough(&end, span->left, flags);
            if (error != 0)
                return error;
        }
        long got = take(&end, span, flags, &past, rights, &last);
        if (got > 0) {
            sum += got;
            after_take(&end, flags);
            if (span->left == 0 || last || (!(flags & MSG_WAITALL_) && !has_more(&end, flags)))
                return sum;
            continue;
        }
        if (got < 0 || last)
            return sum > 0 ? sum : got;
        if (unlikely(span->left == 0) && exo_sock_size(end.sock) != 0)
            return took_nothing(rights);
        long error = ended(end.sock, over);
        if (error != 0)
            return sum > 0 || error > 0 ? sum : error;
        if (!exo_sock_may_wait(end.sock, flags)) {
            exo_sock_hush(&end);
            if (sum == 0 && exo_sock_check_peer(&end))
                continue;
            return sum > 0 ? sum : -EAGAIN;
        }
        error = exo_sock_wait(&end, EXO_SOCK_IN);
        if (error != 0)
            return sum > 0 ? sum : error;
    }
}
