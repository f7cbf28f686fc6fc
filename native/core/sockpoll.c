/* What poll(2) says of a stream socket, as Linux's tcp_poll() and unix_poll() have it. */
#include "sock.h"
#include "sockrecord.h"
#include "watch.h"

#define WRITE_BAND 0x200

static uint32_t of_unix(const struct exo_sock *sock, uint32_t shut)
{
    bool deaf = shut & (EXO_SHUT_READS | EXO_SHUT_END);
    bool mute = shut & (EXO_SHUT_WRITES | EXO_SHUT_DEAF);
    return (deaf ? EXO_POLL_INS | EXO_POLLRDHUP : 0) | (deaf && mute ? EXO_POLLHUP : 0) |
           (load_relaxed(&sock->error) != 0 ? EXO_POLLERR : 0);
}

static uint32_t of_tcp(const struct exo_sock *sock, uint32_t shut)
{
    bool deaf = shut & (EXO_SHUT_READS | EXO_SHUT_END), mute = shut & EXO_SHUT_WRITES;
    bool reset = load_relaxed(&sock->error) != 0;
    bool over = reset || (shut & EXO_SHUT_DEAF) || (deaf && mute);
    return (deaf || over ? EXO_POLL_INS | EXO_POLLRDHUP : 0) | (over ? EXO_POLLHUP : 0) |
           (mute || over ? EXO_POLL_OUTS : 0) | (reset ? EXO_POLLERR : 0);
}

static bool fits(struct exo_kr *kr, const struct exo_sock *sock, const struct exo_sock *to)
{
    if (exo_sock_is_unix_dgram(sock))
        return (load_relaxed(&sock->shut) & EXO_SHUT_GONE) || exo_dgram_has_room(kr, sock, to);
    return sock->type != 0 ? exo_sock_size(to) <= exo_record_room_level(sock)
                           : exo_sock_has_space(to);
}

/* Who finds no room is told when there is some. */
bool exo_sock_has_room(struct exo_kr *kr, struct exo_sock *sock)
{
    uint32_t peer =
        exo_sock_is_unix_dgram(sock) ? exo_dgram_peer(kr, sock) : load_acquire(&sock->peer);
    if (peer == 0)
        return true;
    const struct exo_sock *to = exo_sock_at(kr, peer);
    if (fits(kr, sock, to))
        return true;
    store_relaxed(&sock->no_room, 1);
    full_fence();
    return fits(kr, sock, to);
}

uint32_t exo_sock_poll(struct exo_kr *kr, struct exo_sock *sock)
{
    uint32_t shut = load_acquire(&sock->shut), mode = load_acquire(&sock->mode);
    bool is_unix = sock->family == AF_UNIX_;
    if (sock->type == EXO_SOCK_DGRAM && mode != EXO_SOCK_HOST)
        return exo_record_poll(kr, sock);
    if (mode == EXO_SOCK_LISTENS)
        return exo_sock_pending(sock) > 0 ? EXO_POLL_INS : 0;
    if (mode == EXO_SOCK_HOST)
        return EXO_STATE_HOST;
    if (exo_sock_is_connecting(kr, sock))
        return 0;
    uint32_t state = is_unix ? of_unix(sock, shut) : of_tcp(sock, shut);
    if (mode == EXO_SOCK_FRESH)
        state |= EXO_POLLHUP;
    if (exo_sock_has_enough(sock))
        state |= EXO_POLL_INS;
    if (load_relaxed(&sock->urgent) == EXO_URGENT_THERE)
        state |= EXO_POLLPRI;
    if (exo_sock_has_room(kr, sock))
        state |= is_unix ? EXO_POLL_OUTS | WRITE_BAND : EXO_POLL_OUTS;
    return state;
}
