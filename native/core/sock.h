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

/* Bytes to be read; what a guest has scribbled there is not believed. */
static inline uint32_t exo_sock_size(const struct exo_sock *sock)
{
    uint32_t head = load_acquire(&sock->head), tail = load_acquire(&sock->tail);
    uint32_t start = load_relaxed(&sock->start);
    if ((int32_t)(start - tail) > 0)
        tail = start;
    return head - tail <= EXO_SOCK_SIZE ? head - tail : 0;
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
void exo_sock_announce(struct exo_kr *kr, uint32_t listener);
void exo_sock_recount(struct exo_kr *kr, uint32_t listener, uint32_t pending);
#define EXO_SOCK_ALL_EVENTS 0x2fff /* of poll(2) */
/* A connection that nobody has accepted and nobody will: the kernel process asks. */
bool exo_sock_is_stray(struct exo_kr *kr, uint32_t number);

/* sockport.c, all under net_lock. port is in network order, 0: any. 0 or -EADDRINUSE. */
long exo_sock_bind_locked(struct exo_kr *kr, struct exo_sock *sock,
                          const struct exo_sock_name *name);
void exo_sock_unbind_locked(struct exo_kr *kr, struct exo_sock *sock);
/* Whether nobody else listens there, but who shares the port. */
bool exo_sock_may_listen_locked(struct exo_kr *kr, const struct exo_sock *sock);
/* Who listens there; 0: nobody. */
uint32_t exo_sock_listener_locked(struct exo_kr *kr, const struct exo_sock_name *to);
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
enum { EXO_SOCK_REUSEADDR = 0, EXO_SOCK_REUSEPORT = 1, EXO_SOCK_V6ONLY = 2 };

#endif
