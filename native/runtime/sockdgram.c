/* AF_UNIX datagram sockets: sending. The twins have the names and peers that the guest has given them, so the
 * host decides who may send to whom and what is wrong with a call; a message that is in order goes into the
 * receiver's ring in the region. Whatever the region cannot do goes through the twins. sockpeer.c connects.
 *
 * Rules: a receiver is known by number and generation, and looked at under its input lock. Source: unix(7).
 */
#include "sockdgram.h"
#include "../core/watch.h"
#include "process.h"
#include "sockunix.h"
#include "translate.h"

#define AT_HOST (EXO_SOCK_AGAIN - 2) /* the host is to send it, or to say what is wrong */

/* Who gets it. */
static struct exo_dgram_target find(struct exo_sock_end *end, const struct exo_rights *rights)
{
    struct exo_dgram_target target = {0};
    if (rights != NULL && rights->to != NULL) {
        end->to = rights->to;
        end->to_size = rights->to_size;
        target.number = exo_unix_dgram(rights->to, rights->to_size, &target.generation);
    } else if (!(load_relaxed(&end->sock->udp) & EXO_UNIX_AWAY)) {
        target.number = exo_dgram_peer(KR, end->sock);
        target.generation = end->sock->peer_generation;
    }
    return target;
}

/* Both sides' peers and shutdown(2) allow it; else the host says what is wrong. */
static bool may_send(const struct exo_sock *from, const struct exo_sock *to)
{
    if ((load_relaxed(&from->shut) & EXO_SHUT_WRITES) || (load_relaxed(&to->shut) & EXO_SHUT_READS))
        return false;
    return exo_dgram_is_mutual(KR, from, to) ||
           (load_acquire(&to->peer) == 0 && !(load_relaxed(&to->udp) & EXO_UNIX_AWAY));
}

static bool carries_fds(const struct exo_sock *from, const struct exo_sock *to)
{
    return exo_dgram_is_mutual(KR, from, to) && !exo_dgram_is_mixed(to);
}

uint32_t exo_dgram_carrier(const struct exo_sock *sock)
{
    uint32_t peer = exo_dgram_peer(KR, sock);
    return peer != 0 && carries_fds(sock, exo_sock_at(KR, peer)) ? peer : 0;
}

void exo_dgram_mix(struct exo_sock *to)
{
    exo_lock_acquire(&to->input);
    fetch_or(&to->udp, (uint32_t)EXO_UNIX_MIXED);
    exo_lock_release(&to->input);
}

static struct exo_record record_of(const struct exo_sock *sock, const struct exo_sock *to,
                                   uint64_t size)
{
    struct exo_record record = {.size = (uint32_t)size, .sent_by = sock->generation};
    record.sender = exo_sock_number(KR, sock);
    record.name_size = (uint16_t)load_acquire(&sock->name_size);
    if (load_relaxed(&to->passes_cred) || load_relaxed(&sock->passes_cred)) {
        record.has_cred = 1;
        record.cred[0] = area()->leader->host_tgid;
        record.cred[1] = (uint32_t)HOST_0(__NR_getuid);
        record.cred[2] = (uint32_t)HOST_0(__NR_getgid);
    }
    return record;
}

/* 1, 0: no room, AT_HOST, EXO_SOCK_AGAIN or -EFAULT. */
static long put_locked(const struct exo_sock_end *end, struct exo_sock *to, struct exo_span *span,
                       const struct exo_rights *rights)
{
    struct exo_sock *sock = end->sock;
    bool beside = rights != NULL && rights->size != 0;
    uint64_t size = span->left;
    if (!may_send(sock, to) || size + 32 > load_relaxed(&sock->limit))
        return AT_HOST;
    if ((load_relaxed(&to->udp) & EXO_UNIX_MIXED) || size > EXO_RECORD_MAX ||
        (beside && (end->to != NULL || !carries_fds(sock, to)))) {
        fetch_or(&to->udp, (uint32_t)EXO_UNIX_MIXED);
        return AT_HOST;
    }
    struct exo_record record = record_of(sock, to, size);
    if (!exo_dgram_fits(KR, sock, to, record.size))
        return 0;
    return beside ? exo_sock_put_rights_locked(end, to, span, rights, &record)
                  : exo_record_push_named_locked(KR, to, &record, sock->name, span);
}

static long put(const struct exo_sock_end *end, const struct exo_dgram_target *target,
                struct exo_span *span, const struct exo_rights *rights)
{
    struct exo_sock *to = exo_sock_at(KR, target->number);
    long done = EXO_SOCK_AGAIN;
    exo_lock_acquire(&to->input);
    if (likely(load_acquire(&to->generation) == target->generation && exo_sock_same(end)))
        done = put_locked(end, to, span, rights);
    exo_lock_release(&to->input);
    if (done > 0)
        exo_sock_ring(end, to, EXO_SOCK_IN);
    return done;
}

/* The twin sends it, or says what is wrong. */
static long send_at_host(const struct exo_sock_end *end, const struct exo_span *span, long flags,
                         const struct exo_rights *rights)
{
    struct k_msghdr message = exo_span_message(span);
    if (rights != NULL && rights->size != 0) {
        message.control = (uint64_t)rights->control;
        message.control_size = rights->size;
    }
    if (end->to != NULL) {
        message.name = (uint64_t)end->to;
        message.name_size = (uint32_t)end->to_size;
    }
    long result = host_wait(__NR_sendmsg, end->fd.host, (long)&message, flags, 0, 0, 0);
    if (result == -ECONNREFUSED && end->to == NULL)
        exo_dgram_forget_peer(end);
    return result;
}

/* Whether all who had it were killed, if there is reason to doubt that they live. */
static bool is_lost(const struct exo_sock_end *end, const struct exo_sock *to)
{
    uint32_t slot = load_relaxed(&to->used);
    if (likely(slot != 0 && slot < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[slot])))
        return false;
    return exo_sock_ring_bell(end, to) == -ECONNREFUSED;
}

/* No room: 0 when it is worth another try. */
static long wait_for_room(const struct exo_sock_end *end, struct exo_sock *to, uint32_t size,
                          long flags)
{
    if (exo_sock_may_wait(end->sock, flags))
        return exo_dgram_wait(end, to, size);
    exo_sock_hush(end);
    exo_dgram_fill(end, to);
    return exo_dgram_fits(KR, end->sock, to, size) ? 0 : -EAGAIN;
}

/* EXO_SOCK_AGAIN: is to be tried again. */
static long try(struct exo_sock_end *end, struct exo_span *span, long flags,
                const struct exo_rights *rights)
{
    struct exo_sock *sock = end->sock;
    struct exo_dgram_target target = find(end, rights);
    struct exo_sock *to = exo_sock_at(KR, target.number);
    bool gone = end->to == NULL && (load_relaxed(&sock->shut) & EXO_SHUT_GONE);
    uint64_t size = span->left;
    exo_dgram_name_oneself(end);
    if (target.number == 0 && !gone)
        return send_at_host(end, span, flags, rights);
    if (size + 32 <= load_relaxed(&sock->limit) && load_relaxed(&sock->error) != 0)
        return -(long)exchange(&sock->error, 0);
    if (gone || is_lost(end, to)) {
        if (end->to == NULL)
            exo_dgram_forget_peer(end);
        return -ECONNREFUSED;
    }
    long done = put(end, &target, span, rights);
    if (done == AT_HOST)
        return send_at_host(end, span, flags, rights);
    if (done != 0)
        return done > 0 ? (long)size : done;
    long error = wait_for_room(end, to, (uint32_t)size, flags);
    return error != 0 ? error : EXO_SOCK_AGAIN;
}

long exo_dgram_send(struct exo_fd *at, struct exo_span *span, long flags,
                    const struct exo_rights *rights)
{
    struct exo_sock_end end;
    long result;
    do {
        if (!exo_sock_enter(&end, at))
            return EXO_SOCK_AGAIN;
        exo_sock_note_use(end.sock);
        result = flags & MSG_OOB_ ? -EOPNOTSUPP : try(&end, span, flags, rights);
    } while (result == EXO_SOCK_AGAIN);
    return result;
}
