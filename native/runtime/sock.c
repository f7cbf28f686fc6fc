/* Sending to and receiving from a stream socket: in the kernel region, without the host unless somebody
 * sleeps.
 *
 * Rules: a lock is held for copies only, one at a time, and whoever holds it looks whether the entry is
 * the same still: while it is, its socket is. Source: recv(2), send(2), unix(7), tcp(7).
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
    if (unlikely(load_acquire(&end->sock->mode) == EXO_SOCK_HOST)) {
        exo_sock_make_plain(end);
        return false;
    }
    return true;
}

static bool is_connected(const struct exo_sock *sock)
{
    return load_acquire(&sock->mode) == EXO_SOCK_CONNECTED;
}

static void tell_reader_or_writer(const struct exo_sock_end *end, int what)
{
    uint32_t peer = load_relaxed(&end->sock->peer);
    if (peer != 0)
        exo_sock_ring(end, exo_sock_at(KR, peer), what);
}

/* Up to a mark only, and beyond it no further than what came with it: *last, then. */
static long pull_to_mark(const struct exo_sock_end *end, struct exo_span *span,
                         struct exo_rights *rights, bool *last)
{
    uint32_t size, distance = exo_sock_to_mark(end->sock, &size);
    uint64_t left = span->left;
    if (distance == UINT32_MAX)
        return exo_sock_pull_locked(KR, end->sock, span);
    *last = distance == 0;
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
        if (likely(!(flags & MSG_PEEK_) && !drops)) {
            got = pull_to_mark(end, span, rights, last);
        } else if (!drops) {
            got = exo_sock_peek_locked(KR, sock, *past, span);
            *past += got > 0 ? (uint32_t)got : 0;
        } else {
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

/* Nothing comes any more. */
static bool is_over(const struct exo_sock *sock)
{
    return (load_acquire(&sock->shut) & (EXO_SHUT_READS | EXO_SHUT_END)) ||
           load_acquire(&sock->peer) == 0;
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
        if (unlikely(!is_connected(end.sock)))
            return refuse_reading(end.sock);
        exo_sock_note_use(end.sock);
        bool over = is_over(end.sock); /* before what is there, which is the last then */
        bool last = false;
        long got = take(&end, span, flags, &past, rights, &last);
        if (got > 0) {
            sum += got;
            if (unlikely(load_relaxed(&end.sock->signals)))
                exo_sock_take_bells(&end);
            if (!(flags & MSG_PEEK_))
                tell_reader_or_writer(&end, EXO_SOCK_OUT);
            exo_sock_hush(&end);
            if (span->left == 0 || last || (!(flags & MSG_WAITALL_) && !has_more(&end, flags)))
                return sum;
            continue;
        }
        if (got < 0)
            return sum > 0 ? sum : got;
        if (unlikely(span->left == 0) && exo_sock_size(end.sock) != 0)
            return sum; /* of no bytes: it has waited for some */
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

long exo_sock_broken(long error, long flags)
{
    if (error == -EPIPE && !(flags & MSG_NOSIGNAL_)) {
        const struct exo_area *mine = area();
        struct k_siginfo info = {.signo = SIGPIPE_,
                                 .code = SI_USER_,
                                 .pid = (int32_t)mine->leader->host_tgid,
                                 .uid = (uint32_t)HOST_0(__NR_getuid)};
        HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid, SIGPIPE_,
               &info);
    }
    return error;
}

/* TCP whose other side has been shut down both ways answers with a reset, and is over itself. */
static bool refuses(const struct exo_sock *sock)
{
    struct exo_sock *peer = exo_sock_at(KR, load_acquire(&sock->peer));
    uint32_t both = EXO_SHUT_READS | EXO_SHUT_WRITES;
    if (sock->family == AF_UNIX_ || (load_acquire(&peer->shut) & both) != both)
        return false;
    store_release(&peer->error, (uint32_t)ECONNRESET);
    fetch_or(&peer->shut, (uint32_t)(EXO_SHUT_END | EXO_SHUT_GONE | EXO_SHUT_DEAF));
    return true;
}

/* Whether nothing can be sent: 0, or -errno. To TCP whose other side has closed, once more can be. */
static long unsendable(struct exo_sock *sock, bool *lost)
{
    *lost = false;
    uint32_t shut = load_acquire(&sock->shut);
    if (unlikely(load_relaxed(&sock->error) != 0) && sock->family != AF_UNIX_) {
        uint32_t error = exchange(&sock->error, 0);
        if (error != 0)
            return -(long)error;
    }
    if (unlikely(!is_connected(sock)))
        return sock->family == AF_UNIX_ ? -ENOTCONN : -EPIPE;
    if (shut & (EXO_SHUT_WRITES | EXO_SHUT_DEAF))
        return -EPIPE;
    *lost = (shut & EXO_SHUT_GONE) || load_acquire(&sock->peer) == 0 ||
            (unlikely(shut & EXO_SHUT_END) && refuses(sock));
    return *lost && sock->family == AF_UNIX_ ? -EPIPE : 0;
}

static void answer_with_reset(struct exo_sock *sock)
{
    fetch_or(&sock->shut, (uint32_t)(EXO_SHUT_WROTE | EXO_SHUT_DEAF));
    store_release(&sock->error, (uint32_t)EPIPE);
}

/* Into the peer's ring: bytes, 0 for no room. */
static long put(const struct exo_sock_end *end, exo_sock_source *source, void *from)
{
    uint32_t peer = load_acquire(&end->sock->peer), room;
    struct exo_sock *to = exo_sock_at(KR, peer);
    long done = EXO_SOCK_AGAIN;
    if (peer == 0)
        return done;
    exo_lock_acquire(&to->input);
    if (likely(load_acquire(&end->sock->peer) == peer && exo_sock_same(end))) {
        if (source == NULL) {
            done = exo_sock_push_locked(KR, to, from);
        } else {
            uint8_t *at = exo_sock_room_locked(KR, to, &room);
            done = at == NULL ? 0 : source(from, at, room);
            if (done > 0)
                exo_sock_count_locked(to, (uint32_t)done);
            else if (at != NULL)
                done = done == 0 ? EXO_SOCK_AGAIN - 1 : done;
        }
    }
    exo_lock_release(&to->input);
    if (done > 0)
        exo_sock_ring(end, to, EXO_SOCK_IN);
    return done;
}

/* span, or with a source what that delivers. */
static long send_all(struct exo_fd *at, struct exo_span *span, exo_sock_source *source, void *from,
                     long flags)
{
    struct exo_sock_end end;
    long sum = 0;
    bool lost;
    for (;;) {
        if (unlikely(!exo_sock_enter(&end, at)))
            return sum > 0 ? sum : EXO_SOCK_AGAIN;
        if (unlikely(end.sock->type != 0))
            return source == NULL ? exo_packet_send(at, span, flags, NULL)
                                  : exo_packet_send_from(at, source, from, flags);
        long error = unsendable(end.sock, &lost);
        if (error != 0)
            return sum > 0 ? sum : exo_sock_broken(error, flags);
        uint64_t left = span != NULL ? span->left : 0;
        if (lost) {
            if (source != NULL || left != 0)
                answer_with_reset(end.sock);
            return sum + (long)left;
        }
        exo_sock_note_use(end.sock);
        long done = put(&end, source, span != NULL ? span : from);
        sum += done > 0 ? done : 0;
        if (span != NULL ? span->left == 0 : done > 0 || done == EXO_SOCK_AGAIN - 1)
            return sum;
        if (done > 0 || done == EXO_SOCK_AGAIN)
            continue; /* or the peer has gone */
        if (done < 0)
            return sum > 0 ? sum : done;
        if (!exo_sock_may_wait(end.sock, flags)) {
            exo_sock_hush(&end);
            store_relaxed(&end.sock->no_room, 1);
            full_fence();
            if (exo_sock_is_ready(KR, end.sock, EXO_SOCK_OUT))
                continue;
            return sum > 0 ? sum : -EAGAIN;
        }
        error = exo_sock_wait(&end, EXO_SOCK_OUT);
        if (error != 0)
            return sum > 0 ? sum : error;
    }
}

long exo_sock_send(struct exo_fd *at, struct exo_span *span, long flags)
{
    return send_all(at, span, NULL, NULL, flags);
}

long exo_sock_send_from(struct exo_fd *at, exo_sock_source *source, void *from, long flags)
{
    return send_all(at, NULL, source, from, flags);
}
