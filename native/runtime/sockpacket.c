/* Messages of SOCK_DGRAM and SOCK_SEQPACKET: in the kernel region, whole or not at all; see sock.c for
 * streams. SOCK_SEQPACKET is sent here, and all received. Source: unix(7), recv(2), send(2).
 */
#include "sockpacket.h"
#include "../core/watch.h"
#include "epoll.h"
#include "sockdgram.h"
#include "sockhost.h"
#include "translate.h"

#define SO_RCVBUF_ 8
#define MSG_ERRQUEUE_ 0x2000
#define CHUNK 4096

void exo_packet_note_limit(struct exo_sock *sock, int host)
{
    uint32_t value = 0, size = sizeof(value);
    int name = exo_sock_is_udp(sock) ? SO_RCVBUF_ : SO_SNDBUF_;
    if (HOST_5(__NR_getsockopt, host, SOL_SOCKET_, name, &value, &size) == 0)
        store_release(&sock->limit, value);
}

static long take_error(struct exo_sock *sock)
{
    return load_relaxed(&sock->error) != 0 ? -(long)exchange(&sock->error, 0) : 0;
}

/* By its name, which it may have got since. */
static void tell_sender_locked(const struct exo_sock *sock, struct exo_rights *rights)
{
    struct exo_record *record = &rights->record;
    const struct exo_sock *sender = exo_sock_at(KR, record->sender);
    uint32_t size = load_acquire(&sender->name_size);
    if (record->name_size != 0) {
        exo_record_name_locked(KR, sock, record, rights->name);
    } else if (sender->generation == record->sent_by && size <= sizeof(rights->name)) {
        memcpy(rights->name, sender->name, size);
        record->name_size = (uint16_t)size;
    }
}

static long take_locked(const struct exo_sock_end *end, const struct exo_record *record,
                        struct exo_span *span, long flags, struct exo_rights *rights)
{
    struct exo_sock *sock = end->sock;
    uint32_t size;
    bool peeks = flags & MSG_PEEK_;
    if (!peeks && exo_sock_to_mark(sock, &size) == 0) {
        exo_sock_take_rights(end, rights);
        exo_sock_pass_mark_locked(sock);
    }
    bool cut = span->left < record->size;
    long got = exo_record_peek_locked(KR, sock, record, span);
    if (rights != NULL) {
        rights->record = *record;
        if (exo_sock_is_unix_dgram(sock))
            tell_sender_locked(sock, rights);
    }
    if (!peeks) /* gone, even if the guest had no memory there */
        exo_record_drop_locked(sock, record);
    if (rights != NULL) {
        rights->whole = true;
        rights->flags = cut ? MSG_TRUNC_ : 0;
    }
    return got >= 0 && (flags & MSG_TRUNC_) ? (long)record->size : got;
}

/* False: there is none. */
static bool take(const struct exo_sock_end *end, struct exo_span *span, long flags,
                 struct exo_rights *rights, long *got)
{
    struct exo_record record;
    bool any = true;
    exo_lock_acquire(&end->sock->output);
    if (unlikely(!exo_sock_same(end)))
        *got = EXO_SOCK_AGAIN;
    else if (exo_record_look(KR, end->sock, &record))
        *got = take_locked(end, &record, span, flags, rights);
    else
        any = false;
    exo_lock_release(&end->sock->output);
    return any;
}

static void after_take(const struct exo_sock_end *end, long flags)
{
    const struct exo_sock *sock = end->sock;
    bool dgram = exo_sock_is_unix_dgram(sock);
    uint32_t peer = dgram ? exo_dgram_peer(KR, sock) : load_relaxed(&sock->peer);
    if (unlikely(load_relaxed(&sock->signals)))
        exo_sock_take_bells(end);
    if (dgram && !(flags & MSG_PEEK_))
        exo_dgram_ease(end);
    if (peer != 0 && !(flags & MSG_PEEK_) &&
        (!dgram || exo_dgram_is_mutual(KR, sock, exo_sock_at(KR, peer))))
        exo_sock_ring(end, exo_sock_at(KR, peer), EXO_SOCK_OUT);
    exo_sock_hush(end);
}

/* Nothing comes any more: at once of SOCK_SEQPACKET, of others only who would wait is told. */
static bool is_over(const struct exo_sock *sock, bool waits)
{
    uint32_t shut = load_acquire(&sock->shut);
    if (sock->type == EXO_SOCK_DGRAM)
        return waits && (shut & EXO_SHUT_READS);
    return (shut & (EXO_SHUT_READS | EXO_SHUT_END)) || load_acquire(&sock->peer) == 0;
}

/* Before what is in the ring, unless that is older. */
static bool has_foreign(const struct exo_sock *sock)
{
    return exo_sock_is_unix_dgram(sock) &&
           (load_relaxed(&sock->udp) & (EXO_UNIX_FOREIGN | EXO_UNIX_MIXED)) == EXO_UNIX_FOREIGN;
}

long exo_packet_receive(struct exo_fd *at, struct exo_span *span, long flags,
                        struct exo_rights *rights)
{
    struct exo_sock_end end;
    long got;
    for (;;) {
        if (unlikely(!exo_sock_enter(&end, at)))
            return EXO_SOCK_AGAIN;
        struct exo_sock *sock = end.sock;
        bool waits = exo_sock_may_wait(sock, flags);
        if ((flags & MSG_OOB_) && sock->family == AF_UNIX_)
            return -EOPNOTSUPP;
        if ((flags & MSG_ERRQUEUE_) && sock->family != AF_UNIX_)
            return -EAGAIN;
        if (sock->type == EXO_SOCK_SEQPACKET && load_acquire(&sock->mode) != EXO_SOCK_CONNECTED)
            return -ENOTCONN;
        exo_sock_note_use(sock);
        got = take_error(sock);
        if (got != 0)
            return got;
        bool over = is_over(sock, waits); /* before what is there, which is the last then */
        if (unlikely(has_foreign(sock)) && exo_dgram_take(&end, span, flags, rights, &got))
            return got;
        if (take(&end, span, flags, rights, &got)) {
            if (got == EXO_SOCK_AGAIN)
                continue;
            after_take(&end, flags);
            return got;
        }
        if (unlikely(exo_dgram_is_mixed(sock)) &&
            (over || !waits || (load_relaxed(&sock->udp) & EXO_UNIX_FOREIGN)) &&
            exo_dgram_take(&end, span, flags, rights, &got))
            return got;
        if (over)
            return 0;
        if (!waits) {
            exo_sock_hush(&end);
            if (sock->type == EXO_SOCK_SEQPACKET && exo_sock_check_peer(&end))
                continue;
            return -EAGAIN;
        }
        long error = exo_sock_wait(&end, EXO_SOCK_IN);
        if (error != 0)
            return error;
    }
}

/* Whether the peer was killed, if there is reason to doubt that it lives. */
static bool is_lost(const struct exo_sock_end *end, uint32_t peer)
{
    uint32_t slot = load_relaxed(&exo_sock_at(KR, peer)->used);
    if (slot != 0 && slot < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[slot]))
        return false;
    return exo_sock_check_peer(end);
}

/* Whether nothing can be sent: 0, or -errno, in Linux's order. */
static long unsendable(struct exo_sock *sock, uint64_t size)
{
    uint32_t shut = load_acquire(&sock->shut);
    long error = take_error(sock);
    if (error != 0)
        return error;
    if (load_acquire(&sock->mode) != EXO_SOCK_CONNECTED)
        return -ENOTCONN;
    if (size > EXO_RECORD_MAX || size + 32 > load_relaxed(&sock->limit))
        return -EMSGSIZE;
    bool gone = load_acquire(&sock->peer) == 0 || (shut & EXO_SHUT_GONE);
    return gone || (shut & (EXO_SHUT_WRITES | EXO_SHUT_DEAF)) ? -EPIPE : 0;
}

/* 1, 0: no room, -errno or EXO_SOCK_AGAIN. */
static long put(const struct exo_sock_end *end, struct exo_span *span,
                const struct exo_rights *rights)
{
    uint32_t peer = load_acquire(&end->sock->peer);
    struct exo_sock *to = exo_sock_at(KR, peer);
    struct exo_record record = {.size = (uint32_t)span->left};
    long done = EXO_SOCK_AGAIN;
    if (peer == 0)
        return done;
    if (load_relaxed(&to->passes_cred) || load_relaxed(&end->sock->passes_cred)) {
        record.has_cred = 1;
        record.cred[0] = area()->leader->host_tgid;
        record.cred[1] = (uint32_t)HOST_0(__NR_getuid);
        record.cred[2] = (uint32_t)HOST_0(__NR_getgid);
    }
    exo_lock_acquire(&to->input);
    if (likely(load_acquire(&end->sock->peer) == peer && exo_sock_same(end))) {
        if (!exo_record_fits(to, load_relaxed(&end->sock->limit), record.size))
            done = 0;
        else if (rights != NULL)
            done = exo_sock_put_rights_locked(end, to, span, rights, &record);
        else
            done = exo_record_push_locked(KR, to, &record, span);
    }
    exo_lock_release(&to->input);
    if (done > 0)
        exo_sock_ring(end, to, EXO_SOCK_IN);
    return done;
}

/* No room: 0 when it is worth another try. */
static long wait_for_room(const struct exo_sock_end *end, uint32_t size, long flags)
{
    struct exo_sock *sock = end->sock;
    if (!exo_sock_may_wait(sock, flags)) {
        uint32_t peer = load_acquire(&sock->peer);
        exo_sock_hush(end);
        store_relaxed(&sock->no_room, 1);
        full_fence();
        bool fits = peer == 0 || exo_record_fits(exo_sock_at(KR, peer), sock->limit, size);
        return fits ? 0 : -EAGAIN;
    }
    if (exo_sock_is_ready(KR, sock, EXO_SOCK_OUT)) /* not for one as long as this */
        HOST_0(__NR_sched_yield);
    return exo_sock_wait(end, EXO_SOCK_OUT);
}

long exo_packet_send(struct exo_fd *at, struct exo_span *span, long flags,
                     const struct exo_rights *rights)
{
    struct exo_sock_end end;
    for (;;) {
        if (unlikely(!exo_sock_enter(&end, at)))
            return EXO_SOCK_AGAIN;
        if (exo_sock_is_udp(end.sock))
            return exo_udp_send(at, span, flags, rights != NULL ? rights->to : NULL,
                                rights != NULL ? rights->to_size : 0);
        if (end.sock->type == EXO_SOCK_DGRAM)
            return exo_dgram_send(at, span, flags, rights);
        if (flags & MSG_OOB_)
            return -EOPNOTSUPP;
        long size = (long)span->left, error = unsendable(end.sock, span->left);
        if (error != 0)
            return error;
        exo_sock_note_use(end.sock);
        uint32_t peer = load_acquire(&end.sock->peer);
        if (peer == 0 || is_lost(&end, peer))
            continue;
        long done = put(&end, span, rights);
        if (done > 0)
            return size;
        if (done == EXO_SOCK_AGAIN)
            continue;
        error = done < 0 ? done : wait_for_room(&end, (uint32_t)size, flags);
        if (error != 0)
            return error;
    }
}

/* sendfile(2): DIFFERS: in messages of up to 4096 bytes. */
long exo_packet_send_from(struct exo_fd *at, exo_sock_source *source, void *from, long flags)
{
    uint8_t bytes[CHUNK];
    long got = source(from, bytes, sizeof(bytes));
    if (got <= 0)
        return got;
    const uint64_t vector[1][2] = {{(uint64_t)bytes, (uint64_t)got}};
    struct exo_span span = {.vector = vector, .left = (uint64_t)got};
    return exo_packet_send(at, &span, flags, NULL);
}

long exo_packet_shutdown(const struct exo_sock_end *end, uint32_t how)
{
    struct exo_sock *sock = end->sock;
    bool reads = how != 1, writes = how != 0, connected = sock->type == EXO_SOCK_SEQPACKET;
    fetch_or(&sock->shut,
             (uint32_t)((reads ? EXO_SHUT_READS : 0) | (writes ? EXO_SHUT_WRITES : 0)));
    exo_lock_acquire(&KR->net_lock);
    uint32_t peer = sock->peer;
    if (peer != 0 && connected)
        fetch_or(
            &exo_sock_at(KR, peer)->shut,
            (uint32_t)((writes ? EXO_SHUT_END | EXO_SHUT_FIN : 0) | (reads ? EXO_SHUT_DEAF : 0)));
    exo_lock_release(&KR->net_lock);
    exo_sock_stir(end, peer);
    if (peer == 0 && exo_watched(&sock->watch))
        exo_watchers_wake(&sock->watch, EXO_SOCK_ALL_EVENTS);
    if (exo_sock_is_unix_dgram(sock)) {
        store_release(&sock->deaf, reads ? 1U : load_relaxed(&sock->deaf));
        HOST_2(__NR_shutdown, end->fd.host, how);
    } else {
        exo_sock_rouse(end, reads, writes);
    }
    bool udp = sock->family != AF_UNIX_;
    return udp && load_acquire(&sock->mode) != EXO_SOCK_CONNECTED ? -ENOTCONN : 0;
}
