/* AF_UNIX datagram sockets: sockdgram.c sends, sockpeer.c has names and peers, sockroom.c waits for room, and
 * sockforeign.c has what others have put into twins. */
#ifndef EXO_RUNTIME_SOCKDGRAM_H
#define EXO_RUNTIME_SOCKDGRAM_H

#include "sockpacket.h"

/* rights->to says where to, if it is given. EXO_SOCK_AGAIN: it is no socket any more. */
long exo_dgram_send(struct exo_fd *at, struct exo_span *span, long flags,
                    const struct exo_rights *rights);

/* Who is to get a message, or is connected to; number 0: nobody of ours. */
struct exo_dgram_target {
    uint32_t number;
    uint64_t generation;
};

/* sockpeer.c */
long exo_dgram_connect(struct exo_sock_end *end, uint64_t at, long size);
long exo_dgram_bind(const struct exo_sock_end *end, const struct exo_sockaddr *name, long size);
void exo_dgram_forget_peer(const struct exo_sock_end *end);
/* Who asks for credentials is to have a name. */
void exo_dgram_name_oneself(const struct exo_sock_end *end);

/* sockdgram.c. Who carries fds that are sent to the peer; 0: the host does. */
uint32_t exo_dgram_carrier(const struct exo_sock *sock);
/* From now on all that is sent there goes through the host. */
void exo_dgram_mix(struct exo_sock *to);

/* sockroom.c. No room at the peer: sleeps until there may be some, 0 or -errno; and for a poll(2): the twin is not
 * writable until then. */
long exo_dgram_wait(const struct exo_sock_end *end, struct exo_sock *to, uint32_t size);
void exo_dgram_fill(const struct exo_sock_end *end, struct exo_sock *to);
/* Something has been taken out: who waits for room looks again. */
void exo_dgram_ease(const struct exo_sock_end *end);

/* sockforeign.c. The twin may have messages that none of ours has put there. */
static inline bool exo_dgram_is_mixed(const struct exo_sock *sock)
{
    return exo_sock_is_unix_dgram(sock) &&
           (load_relaxed(&sock->udp) & (EXO_UNIX_NAMED | EXO_UNIX_MIXED));
}
/* Takes out what rings, up to a message: is there one? lock is held, or not. */
bool exo_dgram_sift_locked(const struct exo_sock_end *end);
bool exo_dgram_look(const struct exo_sock_end *end);
/* A message of those; false: there is none. */
bool exo_dgram_take(const struct exo_sock_end *end, struct exo_span *span, long flags,
                    struct exo_rights *rights, long *got);
/* The pieces of a span, for the host. */
struct k_msghdr exo_span_message(const struct exo_span *span);

#endif
