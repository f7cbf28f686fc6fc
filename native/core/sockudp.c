/* Who gets what is sent by UDP within the instance: as Linux's udp_lookup() has it, who is bound to the very
 * address before who is bound to any, who is connected to the sender before who is not.
 *
 * Rules: under net_lock. Source: udp(7), ip(7), ipv6(7), socket(7) (SO_REUSEADDR, SO_REUSEPORT).
 */
#include "mem.h"
#include "sock.h"

/* Whether both are the same address and port, however it is written. */
static bool is_same(const struct exo_sock_name *a, const struct exo_sock_name *b)
{
    struct exo_sock_name one = exo_sock_seen_by(a, AF_INET6_);
    struct exo_sock_name two = exo_sock_seen_by(b, AF_INET6_);
    return a->port == b->port && memcmp(one.address, two.address, sizeof(one.address)) == 0;
}

/* 0: it does not take it. */
static uint32_t score(const struct exo_sock *sock, const struct exo_sock_name *to,
                      const struct exo_sock_name *from)
{
    uint32_t mode = load_relaxed(&sock->mode);
    if (mode == EXO_SOCK_HOST || mode == EXO_SOCK_FREE || !exo_sock_takes(sock, to))
        return 0;
    bool connected = mode == EXO_SOCK_CONNECTED;
    if (connected && !is_same(&sock->remote, from))
        return 0;
    return 1 + (sock->family == AF_INET_) + (connected ? 4 : 0) +
           (exo_sock_is_any(&sock->local) ? 0 : 8);
}

/* A number that the sender's port chooses: of those that share a port, one gets all of a sender's. */
static uint32_t share_of(const struct exo_sock_name *from, uint32_t count)
{
    return (uint32_t)(((uint64_t)from->port * 0x9e3779b97f4a7c15U) >> 32) % count;
}

uint32_t exo_udp_find_locked(struct exo_kr *kr, const struct exo_sock_name *to,
                             const struct exo_sock_name *from)
{
    uint32_t first = kr->udp_bound[(uint32_t)(to->port >> 8 | (to->port & 0xff) << 8)];
    uint32_t best = 0, chosen = 0, sharing = 0, at = first;
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = exo_sock_at(kr, at);
        uint32_t value = score(sock, to, from);
        if (value > best) {
            best = value;
            chosen = at;
            sharing = 0;
        }
        sharing += value == best && value != 0 && sock->options[EXO_SOCK_REUSEPORT];
        at = sock->next_bound;
    }
    if (sharing < 2 || !exo_sock_at(kr, chosen)->options[EXO_SOCK_REUSEPORT])
        return chosen;
    uint32_t skip = share_of(from, sharing);
    at = first;
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = exo_sock_at(kr, at);
        if (score(sock, to, from) == best && sock->options[EXO_SOCK_REUSEPORT] && skip-- == 0)
            return at;
        at = sock->next_bound;
    }
    return chosen;
}
