/* Sending to a stream socket: into the peer's ring, in the kernel region, without the host unless somebody
 * sleeps. Rules: as sock.c. Source: send(2), unix(7), tcp(7).
 */
#include "nap.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

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
    if (unlikely(!exo_sock_is_connected(sock)))
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
static long put(const struct exo_sock_end *end, exo_sock_source *source, void *from, bool urgent)
{
    uint32_t peer = load_acquire(&end->sock->peer), room;
    struct exo_sock *to = exo_sock_at(KR, peer);
    long done = EXO_SOCK_AGAIN;
    if (peer == 0)
        return done;
    exo_lock_acquire(&to->input);
    if (likely(load_acquire(&end->sock->peer) == peer && exo_sock_same(end))) {
        if (source == NULL) {
            done = unlikely(urgent) ? exo_sock_push_urgent_locked(to, from)
                                    : exo_sock_push_locked(KR, to, from);
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
    if (unlikely(urgent) && done > 0 && load_relaxed(&to->urgent) == EXO_URGENT_THERE)
        exo_sock_alarm(end, to);
    return done;
}

/* What is sent to nobody is taken all the same. */
static long waste(exo_sock_source *source, void *from)
{
    uint8_t bytes[4096];
    return source(from, bytes, sizeof(bytes));
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
        if (unlikely(load_relaxed(&end.sock->shut) & EXO_SHUT_SYN) &&
            exo_sock_is_connecting(KR, end.sock)) {
            long early = exo_sock_may_wait(end.sock, flags) ? exo_sock_await(&end) : -EAGAIN;
            if (early != 0)
                return early;
        }
        long error = unsendable(end.sock, &lost);
        if (error != 0)
            return sum > 0 ? sum : exo_sock_broken(error, flags);
        uint64_t left = span != NULL ? span->left : 0;
        if (lost) {
            long gone = source == NULL ? (long)left : waste(source, from);
            if (source != NULL || left != 0)
                answer_with_reset(end.sock);
            return gone < 0 && sum == 0 ? gone : sum + (gone > 0 ? gone : 0);
        }
        exo_sock_note_use(end.sock);
        long done = put(&end, source, span != NULL ? span : from, flags & MSG_OOB_);
        sum += done > 0 ? done : 0;
        if (span != NULL ? span->left == 0 : done > 0 || done == EXO_SOCK_AGAIN - 1)
            return sum;
        if (done > 0 || done == EXO_SOCK_AGAIN)
            continue; /* or the peer has gone */
        if (done < 0)
            return sum > 0 ? sum : done;
        if (!exo_sock_may_wait(end.sock, flags)) {
            exo_nap_pay();
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
