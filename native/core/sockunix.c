/* AF_UNIX datagram sockets: who has which name, who is whose peer, and whether one more message fits.
 *
 * A peer is connected to one way: it has a peer of its own, the same one or another, or none. So nobody tells
 * who was connected to a socket that goes: its generation is no longer the one that was connected to.
 * Rules: names and peers change under net_lock. Source: unix(7).
 */
#include "mem.h"
#include "sock.h"
#include "sockrecord.h"

#define SMALLEST 768 /* what a message counts for at least */

uint32_t exo_dgram_peer(struct exo_kr *kr, const struct exo_sock *sock)
{
    uint32_t peer = load_acquire(&sock->peer);
    if (peer < EXO_SOCK_FIRST)
        return 0;
    return load_acquire(&exo_sock_at(kr, peer)->generation) == sock->peer_generation ? peer : 0;
}

bool exo_dgram_is_mutual(const struct exo_kr *kr, const struct exo_sock *from,
                         const struct exo_sock *to)
{
    return load_acquire(&to->peer) == exo_sock_number(kr, from) &&
           to->peer_generation == from->generation;
}

/* Who is its peer may fill it as far as SO_SNDBUF allows, others up to a number of messages: whether the sender
 * has no more than most on its way, and there is place for one more. */
static bool is_within(struct exo_kr *kr, const struct exo_sock *from, const struct exo_sock *to,
                      uint32_t most)
{
    bool mutual = exo_dgram_is_mutual(kr, from, to);
    uint32_t used = exo_sock_size(to), own;
    if (used <= most && (mutual || used <= kr->datagrams * SMALLEST))
        return true;
    uint32_t count = exo_record_count(kr, to, from->generation, &own);
    return own <= most && (mutual || count <= kr->datagrams);
}

bool exo_dgram_fits(struct exo_kr *kr, const struct exo_sock *from, const struct exo_sock *to,
                    uint32_t size)
{
    uint32_t limit = load_relaxed(&from->limit);
    return exo_record_stride(size) <= EXO_SOCK_SIZE - exo_sock_size(to) &&
           is_within(kr, from, to, limit == 0 ? 0 : limit - 1);
}

bool exo_dgram_has_room(struct exo_kr *kr, const struct exo_sock *from, const struct exo_sock *to)
{
    return is_within(kr, from, to, exo_record_room_level(from));
}

bool exo_dgram_eases(struct exo_kr *kr, const struct exo_sock *sock)
{
    uint32_t peer = exo_dgram_peer(kr, sock), used = exo_sock_size(sock), own;
    const struct exo_sock *from = peer == 0 ? sock : exo_sock_at(kr, peer);
    if (used > exo_record_room_level(from))
        return false;
    return exo_dgram_is_mutual(kr, sock, from) || used <= kr->datagrams * SMALLEST ||
           exo_record_count(kr, sock, 0, &own) <= kr->datagrams;
}

void exo_dgram_name_locked(struct exo_kr *kr, struct exo_sock *sock, const uint64_t key[2])
{
    uint32_t place = (uint32_t)((key[0] ^ key[1]) * 0x9e3779b97f4a7c15U >> 48) | 1;
    memcpy(sock->local.address, key, sizeof(sock->local.address));
    sock->next_bound = kr->unix_bound[place];
    sock->bound = place;
    kr->unix_bound[place] = (uint16_t)exo_sock_number(kr, sock);
}

uint32_t exo_dgram_find_locked(struct exo_kr *kr, const uint64_t key[2])
{
    uint32_t place = (uint32_t)((key[0] ^ key[1]) * 0x9e3779b97f4a7c15U >> 48) | 1;
    uint32_t at = kr->unix_bound[place];
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = exo_sock_at(kr, at);
        if (memcmp(sock->local.address, key, sizeof(sock->local.address)) == 0)
            return at;
        at = sock->next_bound;
    }
    return 0;
}
