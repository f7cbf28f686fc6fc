/* A pair's datagram socket that is connected to something else, or sends past its peer. Names of datagram
 * sockets are the host's, so both sides of the pair become the host's then: what one has sent is poured into
 * the other's twin, in front of which bells may stand.
 */
#include "../core/watch.h"
#include "epoll.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

/* What is on its way to the other side comes out of its twin; that to this side is gone, as on Linux. */
static void pour(struct exo_sock_end *end, struct exo_sock *other)
{
    struct exo_record record;
    if (exo_sock_size(other) != 0)
        fetch_or(&other->udp, (uint32_t)EXO_PAIR_POURED);
    uint8_t *bytes = (uint8_t *)HOST_6(__NR_mmap, 0, EXO_RECORD_MAX, PROT_READ_ | PROT_WRITE_,
                                       MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if ((long)bytes < 0)
        return;
    const uint64_t vector[1][2] = {{(uint64_t)bytes, EXO_RECORD_MAX}};
    exo_lock_acquire(&other->output);
    while (exo_record_look(KR, other, &record)) {
        struct exo_span span = {.vector = vector, .left = EXO_RECORD_MAX};
        exo_record_peek_locked(KR, other, &record, &span);
        HOST_6(__NR_sendto, end->fd.host, bytes, record.size, MSG_DONTWAIT_ | MSG_NOSIGNAL_, 0, 0);
        exo_record_drop_locked(other, &record);
    }
    exo_lock_release(&other->output);
    HOST_2(__NR_munmap, bytes, EXO_RECORD_MAX);
}

/* An error that the host keeps for who reads next is not ours to take. */
void exo_packet_hand_over(const struct exo_sock *sock, int host)
{
    uint32_t shut = load_acquire(&sock->shut);
    uint64_t bell[2];
    int32_t size = 0;
    while (HOST_3(__NR_ioctl, host, FIONREAD_, &size) == 0 && size == sizeof(bell[0]) &&
           HOST_6(__NR_recvfrom, host, bell, sizeof(bell), MSG_PEEK_ | MSG_DONTWAIT_, 0, 0) ==
               sizeof(bell[0]) &&
           bell[0] == KR->instance)
        HOST_6(__NR_recvfrom, host, bell, sizeof(bell), MSG_DONTWAIT_, 0, 0);
    if (shut & EXO_SHUT_READS)
        HOST_2(__NR_shutdown, host, 0);
    if (shut & EXO_SHUT_WRITES)
        HOST_2(__NR_shutdown, host, 1);
}

static void settle_writers(struct exo_sock *sock)
{
    exo_lock_acquire(&sock->input);
    exo_lock_release(&sock->input);
}

static void leave(struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock, *other = NULL;
    exo_lock_acquire(&KR->net_lock);
    uint32_t peer = sock->peer, connected = EXO_SOCK_CONNECTED;
    bool first = compare_exchange(&sock->mode, &connected, (uint32_t)EXO_SOCK_HOST);
    if (first && peer != 0) {
        other = exo_sock_at(KR, peer);
        store_release(&other->mode, (uint32_t)EXO_SOCK_HOST);
    }
    exo_lock_release(&KR->net_lock);
    settle_writers(sock);
    if (other != NULL) {
        settle_writers(other);
        pour(end, other);
        if (exo_sock_size(sock) != 0) /* what was unread here is lost */
            store_release(&other->error, (uint32_t)ECONNRESET);
        exo_watches_of_sock_to_host(peer);
        if (exo_watched(&other->watch))
            exo_watch_note(KR, &other->watch, EXO_SOCK_ALL_EVENTS);
    }
    exo_watches_of_sock_to_host(end->fd.stamp);
    exo_sock_make_plain(end);
}

long exo_packet_connect(struct exo_sock_end *end, long name, long size)
{
    uint16_t family = AF_UNSPEC_;
    long probe = HOST_3(__NR_socket, AF_UNIX_, SOCK_DGRAM_, 0);
    if (probe < 0)
        return probe;
    long error = HOST_3(__NR_connect, probe, name, size); /* what fails changes nothing */
    HOST_1(__NR_close, probe);
    bool ends = size >= 2 && guest_get(&family, (uint64_t)name) == 0 && family == AF_UNSPEC_;
    if (error != 0 && !ends)
        return error;
    if (!exo_sock_is_upset(end->sock)) /* which is done, then */
        leave(end);
    return host_wait(__NR_connect, end->fd.host, name, size, 0, 0, 0);
}

bool exo_packet_goes_past(const struct exo_fd *entry, uint64_t at, long size)
{
    struct exo_sockaddr to, peer;
    int32_t whole = sizeof(peer);
    const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
    if (sock->type != EXO_SOCK_DGRAM || sock->family != AF_UNIX_ || at == 0 || size == 0 ||
        exo_sock_is_upset(sock))
        return false;
    if (exo_sockaddr_get(&to, at, size) != 0 ||
        HOST_3(__NR_getpeername, entry->host, &peer, &whole) != 0)
        return true;
    for (long i = 0; i < size - 2 && i < whole - 2; i++) {
        if (to.data[i] != peer.data[i])
            return true;
        if (i > 0 && to.data[0] != 0 && to.data[i] == 0)
            return false;
    }
    return whole <= 2 || (to.data[0] == 0 ? size != whole : false);
}
