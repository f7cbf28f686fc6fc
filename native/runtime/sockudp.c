/* UDP within the instance: ports are in the region, a message goes right into the receiver's ring, or is lost
 * where that is full. Who is asleep at a socket is rung by the name of its twin, an AF_UNIX datagram socket.
 *
 * A socket that is to send to an address outside the loopback, or wants what only the host has, becomes the
 * host's; so does one that sends to a port that nobody has here, but a guest's socket at the host has had,
 * or to a name server of the host's. Source: udp(7), ip(7), ipv6(7).
 */
#include "../core/watch.h"
#include "epoll.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

#define SO_TYPE_ 3
#define MAX_V4 65507 /* bytes of a message */
#define MAX_V6 65487
#define DNS_PORT 0x3500 /* 53, in network order */
#define IP_RECVERR_ 11
#define IPV6_RECVERR_ 25

/* A guest's socket at the host has had the port. */
static bool is_at_host(uint16_t port)
{
    uint32_t at = (uint32_t)(port >> 8 | (port & 0xff) << 8);
    return load_relaxed(&KR->udp_at_host[at / 64]) >> at % 64 & 1;
}

void exo_udp_note_host(int host)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name), type = 0, type_size = sizeof(type);
    if (HOST_3(__NR_getsockname, host, &name, &size) != 0 || size < 16 ||
        (name.family != AF_INET_ && name.family != AF_INET6_) ||
        HOST_5(__NR_getsockopt, host, SOL_SOCKET_, SO_TYPE_, &type, &type_size) != 0 ||
        type != SOCK_DGRAM_)
        return;
    uint32_t at = (uint32_t)name.data[0] << 8 | name.data[1];
    fetch_or(&KR->udp_at_host[at / 64], 1UL << at % 64);
}

/* A guest's address, as the socket's family has it. IPv4 is known to an IPv6 socket too. */
static long name_from(struct exo_sock_name *name, const struct exo_sock *sock,
                      const struct exo_sockaddr *from, long size, bool connects)
{
    struct exo_sockaddr as = *from;
    if (size < 2)
        return -EINVAL;
    if (sock->family == AF_INET_) {
        if (from->family == AF_UNSPEC_ && !connects)
            as.family = AF_INET_;
        return exo_sock_name_from(name, &as, size, AF_INET_);
    }
    if (from->family != AF_INET_ && from->family != AF_INET6_)
        return connects ? -EAFNOSUPPORT : -EINVAL;
    long error = exo_sock_name_from(name, from, size, from->family);
    if (error != 0)
        return error;
    *name = exo_sock_seen_by(name, AF_INET6_);
    return exo_sock_is_v4(name) && sock->options[EXO_SOCK_V6ONLY] ? -ENETUNREACH : 0;
}

/* The address stays that of bind(2), after the port has been given back, too. */
static long bind_itself_locked(struct exo_sock *sock)
{
    struct exo_sock_name own = {.family = sock->family};
    if (sock->bound != 0)
        return 0;
    if (sock->udp & EXO_UDP_ADDRESS) {
        own = sock->local;
        own.port = 0;
    }
    return exo_sock_bind_locked(KR, sock, &own);
}

/* A port of its own for who has none, and its address as who gets a message from it sees it. */
static long name_own_locked(struct exo_sock *sock, const struct exo_sock_name *to,
                            struct exo_sock_name *own)
{
    if (bind_itself_locked(sock) != 0)
        return -EAGAIN;
    *own = sock->local;
    if (exo_sock_is_any(own)) {
        uint16_t port = own->port;
        *own = *to;
        own->port = port;
        exo_sock_set_loopback(own);
    }
    return 0;
}

struct letter {
    struct exo_sock_name to, own;
    uint32_t receiver;
    uint64_t generation;
    bool foreign, connected;
};

/* Who gets it: 0 or -errno. */
static long find(struct exo_sock *sock, struct letter *letter)
{
    exo_lock_acquire(&KR->net_lock);
    long error = name_own_locked(sock, &letter->to, &letter->own);
    if (error == 0)
        letter->receiver = exo_udp_find_locked(KR, &letter->to, &letter->own);
    if (letter->receiver != 0)
        letter->generation = exo_sock_at(KR, letter->receiver)->generation;
    exo_lock_release(&KR->net_lock);
    letter->foreign =
        letter->receiver == 0 && (is_at_host(letter->to.port) || letter->to.port == DNS_PORT);
    return error;
}

static bool takes_more(const struct exo_sock *to, uint32_t size)
{
    uint32_t used = exo_sock_size(to), sum = used + exo_record_stride(size);
    return sum <= EXO_SOCK_SIZE && (used == 0 || sum <= load_relaxed(&to->limit));
}

/* Lost if there is no room. */
static long deliver(const struct exo_sock_end *end, struct exo_span *span,
                    const struct letter *letter)
{
    struct exo_sock *to = exo_sock_at(KR, letter->receiver);
    struct exo_record record = {.size = (uint32_t)span->left};
    record.from = exo_sock_seen_by(&letter->own, to->family);
    struct exo_sock_name there = exo_sock_seen_by(&letter->to, to->family);
    memcpy(record.to, there.address, sizeof(record.to));
    long done = 0;
    exo_lock_acquire(&to->input);
    bool same = to->generation == letter->generation;
    if (same && takes_more(to, record.size))
        done = exo_record_push_locked(KR, to, &record, span);
    exo_lock_release(&to->input);
    if (done > 0)
        exo_sock_ring(end, to, EXO_SOCK_IN);
    return done < 0 ? done : (long)record.size;
}

/* DIFFERS: with IP_RECVERR, too, only who is connected hears of that nobody is there. */
static void refuse(struct exo_sock *sock)
{
    store_release(&sock->error, (uint32_t)ECONNREFUSED);
    if (exo_watched(&sock->watch))
        exo_watchers_wake(&sock->watch, EXO_SOCK_ALL_EVENTS);
}

/* Linux gives it a port before it looks at what is wrong with the call. */
static long give_port(struct exo_sock *sock, long error)
{
    exo_lock_acquire(&KR->net_lock);
    bind_itself_locked(sock);
    exo_lock_release(&KR->net_lock);
    return error;
}

/* What the call says is in order: where it is to go, 0 or -errno. */
static long address(struct exo_sock *sock, const struct exo_sockaddr *to, long to_size,
                    struct letter *letter)
{
    letter->connected = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED;
    if (to == NULL || (sock->family == AF_INET6_ && to->family == AF_UNSPEC_)) {
        letter->to = sock->remote;
        return letter->connected ? 0 : -EDESTADDRREQ;
    }
    long error = name_from(&letter->to, sock, to, to_size, false);
    if (error != 0)
        return error;
    if (letter->to.port == 0)
        return -EINVAL;
    if (exo_sock_is_any(&letter->to))
        exo_sock_set_loopback(&letter->to);
    if (letter->connected)
        letter->connected = memcmp(&letter->to, &sock->remote, sizeof(letter->to)) == 0;
    letter->foreign = !exo_sock_is_loopback(&letter->to);
    return 0;
}

static long unsendable(struct exo_sock *sock, const struct letter *letter, uint64_t size)
{
    if (size > (exo_sock_is_v4(&letter->to) ? MAX_V4 : MAX_V6))
        return -EMSGSIZE;
    if (load_relaxed(&sock->error) != 0)
        return -(long)exchange(&sock->error, 0);
    return load_acquire(&sock->shut) & EXO_SHUT_WRITES ? -EPIPE : 0;
}

long exo_udp_send(struct exo_fd *at, struct exo_span *span, long flags,
                  const struct exo_sockaddr *to, long to_size)
{
    struct exo_sock_end end;
    struct letter letter = {.receiver = 0};
    if (!exo_sock_enter(&end, at))
        return EXO_SOCK_AGAIN;
    struct exo_sock *sock = end.sock;
    if (span->left > 65535)
        return give_port(sock, -EMSGSIZE);
    if ((flags & MSG_OOB_) && sock->family == AF_INET_)
        return give_port(sock, -EOPNOTSUPP);
    long error = address(sock, to, to_size, &letter);
    if (error == 0 && !letter.foreign) {
        error = unsendable(sock, &letter, span->left);
        if (error == 0)
            error = find(sock, &letter);
    }
    if (error != 0)
        return give_port(sock, error);
    if (letter.foreign) {
        error = exo_sock_to_host(&end);
        return error != 0 ? error : EXO_SOCK_AGAIN;
    }
    exo_sock_note_use(sock);
    if (letter.receiver != 0)
        return deliver(&end, span, &letter);
    if (letter.connected)
        refuse(sock);
    return (long)span->left;
}

static long disconnect(struct exo_sock *sock)
{
    struct exo_sock_name any = {.family = sock->family};
    exo_lock_acquire(&KR->net_lock);
    uint32_t connected = EXO_SOCK_CONNECTED;
    compare_exchange(&sock->mode, &connected, (uint32_t)EXO_SOCK_FRESH);
    sock->remote = any;
    if (!(sock->udp & EXO_UDP_ADDRESS))
        memset(sock->local.address, 0, sizeof(sock->local.address));
    if (!(sock->udp & EXO_UDP_PORT)) {
        exo_sock_unbind_locked(KR, sock);
        sock->local.port = 0;
    }
    exo_lock_release(&KR->net_lock);
    return 0;
}

long exo_udp_connect(struct exo_sock_end *end, const struct exo_sockaddr *to, long size,
                     bool *foreign)
{
    struct exo_sock *sock = end->sock;
    struct letter letter = {.receiver = 0};
    if (to->family == AF_UNSPEC_)
        return disconnect(sock);
    long error = name_from(&letter.to, sock, to, size, true);
    if (error != 0)
        return error;
    if (exo_sock_is_any(&letter.to))
        exo_sock_set_loopback(&letter.to);
    *foreign = !exo_sock_is_loopback(&letter.to);
    if (!*foreign) {
        error = find(sock, &letter);
        *foreign = letter.foreign;
    }
    if (error != 0 || *foreign)
        return error;
    exo_lock_acquire(&KR->net_lock);
    sock->local = letter.own;
    sock->remote = letter.to;
    store_release(&sock->mode, (uint32_t)EXO_SOCK_CONNECTED);
    exo_lock_release(&KR->net_lock);
    return 0;
}

/* What may be set: with EXO_UDP flags, to be remembered (0), or nothing that is known here (-1). */
static int known_option(const struct exo_sock *sock, long level, long name)
{
    if (level == 0 && name == 8)
        return EXO_UDP_PKTINFO;
    if (level == IPPROTO_IPV6_ && name == 49 && sock->family == AF_INET6_)
        return EXO_UDP_PKTINFO6;
    if (level == 0) /* TOS, TTL, MTU_DISCOVER, RECVERR, FREEBIND */
        return name == 1 || name == 2 || name == 10 || name == IP_RECVERR_ || name == 15 ? 0 : -1;
    if (level == IPPROTO_IPV6_ && sock->family == AF_INET6_) /* HOPS, RECVERR, V6ONLY, TCLASS */
        return name == 16 || name == IPV6_RECVERR_ || name == 26 || name == 67 ? 0 : -1;
    return -1;
}

/* Time stamps, devices, filters, and the like. */
static bool only_host_has(long name)
{
    return name == 25 || name == 26 || name == 29 || name == 35 || name == 37 || name == 50 ||
           (name >= 63 && name <= 65);
}

bool exo_udp_set_option(struct exo_fd *at, long level, long name, uint64_t from, long size,
                        long *result)
{
    struct exo_sock_end end;
    uint32_t value;
    if (!exo_sock_enter(&end, at))
        return false;
    int known = known_option(end.sock, level, name);
    *result = -ENOPROTOOPT;
    if (level == IPPROTO_TCP_)
        return true;
    if (level == SOL_SOCKET_ ? !only_host_has(name) : known == 0)
        return false;
    if (known <= 0) {
        *result = exo_sock_to_host(&end);
        if (*result == 0)
            *result = HOST_5(__NR_setsockopt, end.fd.host, level, name, from, size);
        return true;
    }
    *result = size < (long)sizeof(value) ? -EINVAL : guest_get(&value, from);
    if (*result == 0 && value != 0)
        fetch_or(&end.sock->udp, (uint32_t)known);
    else if (*result == 0)
        fetch_and(&end.sock->udp, ~(uint32_t)known);
    return true;
}

bool exo_udp_option(const struct exo_sock *sock, long level, long name, uint32_t *value)
{
    int known = known_option(sock, level, name);
    if (level == SOL_SOCKET_ || known <= 0)
        return false;
    *value = (load_relaxed(&sock->udp) & (uint32_t)known) != 0;
    return true;
}
