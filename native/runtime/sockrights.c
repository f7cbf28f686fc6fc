/* Control data and sockets on their way: SCM_RIGHTS and SCM_CREDENTIALS between sockets of exo's.
 *
 * The host carries fds, so control data goes through the twins, with a byte; a mark says with which bytes
 * in the ring it belongs. While it is being put there nobody empties the twin (exo_sock.sending).
 * A socket of exo's that is sent keeps its number: who receives it knows it by its twin's cookie; a set by what
 * its twin says of the doorbell in it (setflight.c).
 */
#include "epoll.h"
#include "sockmsg.h"
#include "sockpacket.h"
#include "translate.h"

#define FIRST_BUFFER 32768 /* bytes that Linux sends together with control data, at most */

static long host_message(long nr, int host, struct exo_rights *rights, uint32_t *got, long flags)
{
    uint8_t byte = 0;
    uint64_t vector[2] = {(uint64_t)&byte, 1};
    struct k_msghdr message = {.iov = (uint64_t)vector,
                               .iov_count = 1,
                               .control = (uint64_t)rights->control,
                               .control_size = rights->size};
    long result = HOST_3(nr, host, &message, flags | MSG_DONTWAIT_);
    rights->size = message.control_size;
    *got = message.flags;
    return result;
}

static void close_fds(const struct exo_rights *rights, uint32_t carrier)
{
    uint64_t at = 0;
    while (at + sizeof(struct k_cmsghdr) <= rights->size) {
        const struct k_cmsghdr *header = (const struct k_cmsghdr *)(rights->control + at);
        if (header->size < sizeof(*header) || header->size > rights->size - at)
            return;
        const int32_t *fds = (const int32_t *)(header + 1);
        for (uint64_t i = 0; header->level == SOL_SOCKET_ && header->type == 1 &&
                             i < (header->size - sizeof(*header)) / 4;
             i++)
            exo_sock_crash(fds[i], carrier);
        at += (header->size + 7) & ~7UL;
    }
}

/* Bytes that rang come before it. */
void exo_sock_take_rights(const struct exo_sock_end *end, struct exo_rights *rights)
{
    uint8_t own[EXO_RIGHTS_ROOM] __attribute__((aligned(8)));
    struct exo_rights here = {.control = rights != NULL ? rights->control : own,
                              .room = rights != NULL ? rights->room : sizeof(own)};
    uint32_t flags;
    do
        here.size = here.room;
    while (host_message(__NR_recvmsg, end->fd.host, &here, &flags, MSG_CMSG_CLOEXEC_) > 0 &&
           here.size == 0 && !(flags & MSG_CTRUNC_));
    if (rights == NULL) {
        close_fds(&here, end->fd.stamp);
        return;
    }
    rights->size = here.size;
    rights->carrier = end->fd.stamp;
    rights->cut = flags & MSG_CTRUNC_;
}

void exo_sock_peek_rights(const struct exo_sock_end *end, struct exo_rights *rights)
{
    uint32_t flags;
    for (;;) {
        rights->size = rights->room;
        long got =
            host_message(__NR_recvmsg, end->fd.host, rights, &flags, MSG_PEEK_ | MSG_CMSG_CLOEXEC_);
        if (got <= 0 || rights->size != 0 || (flags & MSG_CTRUNC_))
            break;
        rights->size = 0; /* what rang */
        if (host_message(__NR_recvmsg, end->fd.host, rights, &flags, 0) <= 0)
            break;
    }
    rights->carrier = end->fd.stamp | EXO_CARRIER_PEEKED;
    rights->cut = flags & MSG_CTRUNC_;
}

long exo_sock_put_rights_locked(const struct exo_sock_end *end, struct exo_sock *to,
                                struct exo_span *span, const struct exo_rights *rights,
                                const struct exo_record *record)
{
    struct exo_rights out = *rights;
    uint32_t flags, room;
    if (to->mark_head - load_acquire(&to->mark_tail) >= EXO_SOCK_MARK_COUNT)
        return -ETOOMANYREFS;
    if (exo_sock_room_locked(KR, to, &room) == NULL)
        return 0;
    exo_lock_acquire(&to->lock);
    store_release(&to->sending, area()->task->leader_slot);
    exo_lock_release(&to->lock);
    long result = host_message(__NR_sendmsg, end->fd.host, &out, &flags, MSG_NOSIGNAL_);
    if (result > 0) {
        uint32_t size = span->left < FIRST_BUFFER ? (uint32_t)span->left : FIRST_BUFFER;
        exo_sock_mark_locked(to, size);
        result = record != NULL ? exo_record_push_locked(KR, to, record, span)
                                : exo_sock_push_locked(KR, to, span);
        if (record != NULL && result < 0) /* nobody has looked there yet */
            store_release(&to->mark_head, to->mark_head - 1);
    }
    store_release(&to->sending, 0);
    return result;
}

long exo_sock_send_rights(struct exo_fd *at, struct exo_span *span, long flags,
                          const struct exo_rights *rights)
{
    struct exo_sock_end end;
    uint64_t all = span->left;
    long done = 0;
    while (done == 0) {
        if (!exo_sock_enter(&end, at))
            return EXO_SOCK_AGAIN;
        if (end.sock->type != 0)
            return exo_packet_send(at, span, flags, rights);
        uint32_t peer = load_acquire(&end.sock->peer);
        struct exo_sock *to = exo_sock_at(KR, peer);
        uint32_t broken = EXO_SHUT_WRITES | EXO_SHUT_DEAF | EXO_SHUT_GONE;
        if (peer == 0 || all == 0 || (load_relaxed(&end.sock->shut) & broken))
            return exo_sock_send(at, span, flags); /* which says what is wrong */
        exo_lock_acquire(&to->input);
        if (load_acquire(&end.sock->peer) == peer && exo_sock_same(&end))
            done = exo_sock_put_rights_locked(&end, to, span, rights, NULL);
        exo_lock_release(&to->input);
        if (done > 0)
            exo_sock_ring(&end, to, EXO_SOCK_IN);
        if (done == 0 && ((flags & MSG_DONTWAIT_) || load_relaxed(&end.sock->nonblock)))
            return -EAGAIN;
        long error = done == 0 ? exo_sock_wait(&end, EXO_SOCK_OUT) : 0;
        if (error != 0)
            return error;
    }
    if (done < 0 || span->left == 0)
        return done;
    long rest = exo_sock_send(at, span, flags);
    return rest > 0 ? done + rest : done;
}

uint64_t exo_sock_cookie(long host)
{
    uint64_t cookie = 0;
    uint32_t size = sizeof(cookie);
    return HOST_5(__NR_getsockopt, host, SOL_SOCKET_, SO_COOKIE_, &cookie, &size) == 0 ? cookie : 0;
}

void exo_sock_leave(struct exo_fd *at, uint32_t carrier)
{
    struct exo_sock_end end;
    if (!exo_sock_enter(&end, at))
        return;
    exo_object_hold(KR, end.fd.stamp);
    store_release(&end.sock->cookie, exo_sock_cookie(end.fd.host));
    exo_sock_fly(KR, end.fd.stamp, carrier);
    exo_object_hold(KR, 0);
}

void exo_sock_stay(struct exo_fd *at, uint32_t carrier)
{
    struct exo_sock_end end;
    if (exo_sock_enter(&end, at))
        exo_sock_end_flight(KR, end.fd.stamp, carrier, 0);
}

/* Whether it has been on its way, and is held and counted for an entry now. */
static bool ends_flight(uint32_t number, uint32_t carrier)
{
    exo_object_hold(KR, number);
    if (carrier & EXO_CARRIER_PEEKED ? exo_sock_copy_flight(KR, number)
                                     : exo_sock_end_flight(KR, number, carrier, 1))
        return true;
    exo_object_hold(KR, 0);
    return false;
}

/* The number of a socket or set that has arrived, held and counted for an entry; 0: it is not exo's. */
static uint32_t landed(long host, uint32_t carrier)
{
    uint64_t cookie = load_relaxed(&KR->flying) == 0 ? 0 : exo_sock_cookie(host);
    uint32_t high = cookie == 0 ? 0 : load_acquire(&KR->object_high[EXO_KIND_SOCK]);
    for (uint32_t i = 1; i <= high && i < EXO_SOCK_COUNT; i++) {
        struct exo_sock *sock = &KR->socks[i];
        if (load_relaxed(&sock->cookie) != cookie || load_relaxed(&sock->mode) == EXO_SOCK_FREE)
            continue;
        if (ends_flight(i + EXO_SOCK_FIRST, carrier))
            return i + EXO_SOCK_FIRST;
    }
    uint32_t set = load_relaxed(&KR->flying) == 0 || cookie != 0 ? 0 : exo_set_of(host);
    return set != 0 && ends_flight(set, carrier) ? set : 0;
}

static uint16_t flags_of(uint32_t number)
{
    return EXO_FD_OPEN | (exo_object_kind(number) == EXO_KIND_EPOLL ? EXO_FD_EPOLL : EXO_FD_SOCKET);
}

long exo_sock_land(long host, uint32_t carrier, bool cloexec)
{
    uint32_t number = landed(host, carrier);
    if (number == 0)
        return exo_fd_made(host, cloexec);
    struct exo_fd entry = {
        .host = (int32_t)host, .flags = flags_of(number), .stamp = (uint16_t)number};
    entry.flags |= cloexec ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0;
    int fd = exo_fd_take(0);
    if (fd >= 0) {
        exo_note_objects();
        exo_fd_put(KR, area()->task->fd_table, fd, entry);
    } else {
        exo_object_unref(KR, entry);
        HOST_1(__NR_close, host);
    }
    exo_object_hold(KR, 0);
    return fd;
}

void exo_sock_crash(long host, uint32_t carrier)
{
    uint32_t number = landed(host, carrier);
    if (number != 0) {
        struct exo_fd entry = {.flags = flags_of(number), .stamp = (uint16_t)number};
        exo_object_unref(KR, entry);
        exo_object_hold(KR, 0);
    }
    HOST_1(__NR_close, host);
}
