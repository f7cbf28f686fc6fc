/* Stream sockets in the kernel region: what is on its way (sock.c), who is connected with whom
 * (sockpair.c), TCP ports (sockport.c).
 */
#ifndef EXO_CORE_SOCK_H
#define EXO_CORE_SOCK_H

#include "atomic.h"
#include "objects.h"
#include "span.h"

#define EXO_SOCK_FIRST EXO_PIPE_COUNT /* a socket's number less this is its index */

enum {
    EXO_SOCK_IN = 0,
    EXO_SOCK_OUT = 1
}; /* what one waits for; index of sleeping, patience, timeout_ns */

#define AF_UNSPEC_ 0
#define AF_UNIX_ 1
#define AF_INET_ 2
#define AF_INET6_ 10

static inline struct exo_sock *exo_sock_at(struct exo_kr *kr, uint32_t number)
{
    return &kr->socks[(number - EXO_SOCK_FIRST) % EXO_SOCK_COUNT];
}

static inline uint32_t exo_sock_number(const struct exo_kr *kr, const struct exo_sock *sock)
{
    return (uint32_t)(sock - kr->socks) + EXO_SOCK_FIRST;
}

static inline bool exo_sock_is_unix_dgram(const struct exo_sock *sock)
{
    return sock->type == EXO_SOCK_DGRAM && sock->family == AF_UNIX_;
}

/* Bytes to be read; what a guest has scribbled there is not believed. */
static inline uint32_t exo_sock_size(const struct exo_sock *sock)
{
    uint32_t head = load_acquire(&sock->head), tail = load_acquire(&sock->tail);
    uint32_t start = load_relaxed(&sock->start);
    if ((int32_t)(start - tail) > 0)
        tail = start;
    return head - tail <= EXO_SOCK_SIZE ? head - tail : 0;
}

/* Bytes that may be on their way to it: SO_RCVBUF there, SO_SNDBUF here. */
static inline uint32_t exo_sock_limit(const struct exo_sock *to)
{
    uint32_t limit = load_relaxed(&to->window);
    return limit - 1 < EXO_SOCK_SIZE ? limit : EXO_SOCK_SIZE;
}

/* sockpair.c: what options allow to be on its way, here and there. */
void exo_sock_set_limits(struct exo_kr *kr, struct exo_sock *sock);
void exo_sock_set_limit_locked(struct exo_sock *to, const struct exo_sock *from);

/* As poll(2) has it: a third of the room must be free for who waits to write. */
static inline bool exo_sock_has_space(const struct exo_sock *to)
{
    return exo_sock_size(to) <= exo_sock_limit(to) / 3 * 2;
}

/* sock.c. push: input is held, pull and peek: output. Bytes moved, 0 for none or no room; -EFAULT. */
long exo_sock_push_locked(struct exo_kr *kr, struct exo_sock *to, struct exo_span *span);
long exo_sock_pull_locked(struct exo_kr *kr, struct exo_sock *from, struct exo_span *span);
/* The same from `past` bytes on, which stay; pull's other half. */
long exo_sock_peek_locked(struct exo_kr *kr, struct exo_sock *from, uint32_t past,
                          struct exo_span *span);
void exo_sock_drop_locked(struct exo_sock *from, uint32_t size);
/* One piece of free room, *size of it, to be filled and then counted. NULL: none. input is held. */
uint8_t *exo_sock_room_locked(struct exo_kr *kr, struct exo_sock *to, uint32_t *size);
void exo_sock_count_locked(struct exo_sock *to, uint32_t size);
/* Memory that a socket has used and nobody will read. */
void exo_sock_forget(struct exo_kr *kr, const struct exo_sock *sock);
/* Bytes up to the next mark, UINT32_MAX for none; passing it, and setting one for size bytes to come:
 * false if there are too many. */
uint32_t exo_sock_to_mark(const struct exo_sock *from, uint32_t *size);
void exo_sock_pass_mark_locked(struct exo_sock *from);
bool exo_sock_mark_locked(struct exo_sock *to, uint32_t size);
/* TCP that has been reset, or ended on both sides. */
static inline bool exo_sock_is_closed(const struct exo_sock *sock)
{
    uint32_t shut = load_acquire(&sock->shut), both = EXO_SHUT_WRITES | EXO_SHUT_FIN;
    return ((shut & EXO_SHUT_GONE) && !(shut & EXO_SHUT_FIN)) || (shut & EXO_SHUT_DEAF) ||
           (shut & both) == both;
}
/* What sockrecord.c needs of the ring: where the next byte comes to stand and how many there is room for, the
 * oldest byte's position, and bytes from or to a position. */
uint32_t exo_sock_room_at(struct exo_sock *to, uint32_t *position);
uint32_t exo_sock_oldest(const struct exo_sock *from);
uint8_t *exo_sock_byte_at(struct exo_kr *kr, const struct exo_sock *sock, uint32_t position);
long exo_sock_copy(struct exo_kr *kr, const struct exo_sock *sock, uint32_t position, uint32_t size,
                   struct exo_span *span, bool to_ring);
/* sockpoll.c: bits of poll(2), or EXO_STATE_HOST. */
uint32_t exo_sock_poll(struct exo_kr *kr, struct exo_sock *sock);
bool exo_sock_has_room(struct exo_kr *kr, struct exo_sock *sock);
bool exo_sock_is_ready(struct exo_kr *kr, const struct exo_sock *sock, int what);

/* sockpair.c. A new socket, held: it is to have an entry, unless it is an embryo. 0: no room. */
uint32_t exo_sock_create(struct exo_kr *kr, enum exo_sock_mode mode, uint16_t family,
                         uint16_t protocol);
/* Both have no peer yet; false if that has changed. */
bool exo_sock_join(struct exo_kr *kr, uint32_t one, uint32_t other);
/* A listener that is no more. */
void exo_sock_unlisten(struct exo_kr *kr, uint32_t number);
/* Nobody has it any more: its peer is told, and what waits at a listener is gone. */
void exo_sock_part(struct exo_kr *kr, uint32_t number);
/* The peer's last fd is closed, or was killed. */
void exo_sock_lose_peer(struct exo_kr *kr, struct exo_sock *sock);
/* A connection is about to come to a listener. And nobody was there, though pending were said to be:
 * whoever was to connect may have been killed. */
void exo_sock_announce(struct exo_kr *kr, struct exo_sock *sock, uint32_t listener);
void exo_sock_recount(struct exo_kr *kr, uint32_t listener, uint32_t pending);
/* One of those that wait at a listener does so no more: others may be connected now. */
void exo_sock_advance(struct exo_kr *kr, uint32_t listener);
/* How many wait to be accepted, those included that are beyond the backlog. */
static inline int32_t exo_sock_pending(const struct exo_sock *listener)
{
    return (int32_t)(load_acquire(&listener->announced) - load_relaxed(&listener->accepted));
}
/* Of TCP: connect(2) has not come to its end, since the listener's backlog is full. */
bool exo_sock_is_connecting(struct exo_kr *kr, const struct exo_sock *sock);
#define EXO_SOCK_ALL_EVENTS 0x2fff /* of poll(2) */
/* A connection that nobody has accepted and nobody will: the kernel process asks. */
bool exo_sock_is_stray(struct exo_kr *kr, uint32_t number);

/* sockflight.c. A socket leaves in a message for carrier, 0: that is the host's. It has arrived, or never
 * left: as, the entries it is to have by that; false if there was no such flight. What is on its way to
 * a carrier that goes is gone; net_lock is held. */
void exo_sock_fly(struct exo_kr *kr, uint32_t number, uint32_t carrier);
bool exo_sock_end_flight(struct exo_kr *kr, uint32_t number, uint32_t carrier, uint64_t as);
uint32_t
exo_sock_take_lost(struct exo_kr *kr); /* one that nobody has by that, to be freed; 0: none */
void exo_sock_drop_flights_locked(struct exo_kr *kr, uint32_t carrier);

/* sockurgent.c, input and output are held to set it: the last of the bytes that come is urgent. */
void exo_sock_set_urgent_locked(struct exo_sock *to);
void exo_sock_pass_urgent_locked(struct exo_sock *from); /* that has been read past it */
/* Bytes up to the urgent one, 0 at it, UINT32_MAX if there is none. */
uint32_t exo_sock_to_urgent(const struct exo_sock *from);
/* What can be read: less than there is, where the urgent byte is passed over. */
uint32_t exo_sock_readable(const struct exo_sock *sock);
/* ... and as much as SO_RCVLOWAT asks for. */
static inline bool exo_sock_has_enough(const struct exo_sock *sock)
{
    uint32_t size = __builtin_expect(load_relaxed(&sock->urgent) != EXO_URGENT_NONE, 0)
                        ? exo_sock_readable(sock)
                        : exo_sock_size(sock);
    return size > load_relaxed(&sock->low_water);
}

/* sockunix.c: AF_UNIX datagrams. The peer's number, while that is the one that was connected to; 0: none. Whether
 * it has this one as its peer; whether a message of so many bytes fits, and what poll(2) says. */
uint32_t exo_dgram_peer(struct exo_kr *kr, const struct exo_sock *sock);
bool exo_dgram_is_mutual(const struct exo_kr *kr, const struct exo_sock *from,
                         const struct exo_sock *to);
bool exo_dgram_fits(struct exo_kr *kr, const struct exo_sock *from, const struct exo_sock *to,
                    uint32_t size);
bool exo_dgram_has_room(struct exo_kr *kr, const struct exo_sock *from, const struct exo_sock *to);
/* Whether those who wait for room there are to look again. */
bool exo_dgram_eases(struct exo_kr *kr, const struct exo_sock *sock);
/* Has a name from now on, known by its key; and who has it, 0: nobody. net_lock is held. */
void exo_dgram_name_locked(struct exo_kr *kr, struct exo_sock *sock, const uint64_t key[2]);
uint32_t exo_dgram_find_locked(struct exo_kr *kr, const uint64_t key[2]);

/* sockport.c, all under net_lock. port is in network order, 0: any. 0 or -EADDRINUSE. */
long exo_sock_bind_locked(struct exo_kr *kr, struct exo_sock *sock,
                          const struct exo_sock_name *name);
/* Any port, for who connects; 0 or -EADDRNOTAVAIL. */
long exo_sock_take_port_locked(struct exo_kr *kr, struct exo_sock *sock,
                               const struct exo_sock_name *name);
void exo_sock_unbind_locked(struct exo_kr *kr, struct exo_sock *sock);
/* Whether nobody else listens there, but who shares the port. */
bool exo_sock_may_listen_locked(struct exo_kr *kr, const struct exo_sock *sock);
/* Who listens there; 0: nobody. */
uint32_t exo_sock_listener_locked(struct exo_kr *kr, const struct exo_sock_name *to);
/* socktime.c: who closes first keeps its port for a while; net_lock is held. */
void exo_sock_wait_locked(struct exo_kr *kr, const struct exo_sock *first);
void exo_sock_wait_again_locked(struct exo_kr *kr, const struct exo_sock_name *first);
bool exo_sock_waits_locked(struct exo_kr *kr, const struct exo_sock *sock,
                           const struct exo_sock_name *name);
/* sockport.c. Whether two addresses of a port overlap: name, which sock is to have, and other's. */
bool exo_sock_meets(const struct exo_sock *sock, const struct exo_sock_name *name,
                    const struct exo_sock *other);
/* Who takes what is sent by UDP; 0: nobody. */
uint32_t exo_udp_find_locked(struct exo_kr *kr, const struct exo_sock_name *to,
                             const struct exo_sock_name *from);
/* Whether a socket that is bound so gets what is sent there. */
bool exo_sock_takes(const struct exo_sock *sock, const struct exo_sock_name *to);
/* A family's view of an address: IPv4 in an IPv6 address if need be. */
struct exo_sock_name exo_sock_seen_by(const struct exo_sock_name *name, uint16_t family);
bool exo_sock_is_v4(const struct exo_sock_name *name);
/* The loopback address of the same kind. */
void exo_sock_set_loopback(struct exo_sock_name *name);
bool exo_sock_is_any(const struct exo_sock_name *name);
bool exo_sock_is_loopback(const struct exo_sock_name *name);

/* Rows of exo_sock.options that the core looks at. */
enum {
    EXO_SOCK_REUSEADDR = 0,
    EXO_SOCK_REUSEPORT = 1,
    EXO_SOCK_V6ONLY = 2,
    EXO_SOCK_OOBINLINE = 3,
    EXO_SOCK_SNDBUF = 4,
    EXO_SOCK_RCVBUF = 5,
    EXO_SOCK_RCVLOWAT = 7,
    EXO_SOCK_MAXSEG = 9,
    EXO_SOCK_WINDOW_CLAMP = 17,
    EXO_SOCK_FASTOPEN = 21,
};

#endif
