/* Sockets whose messages are whole: sockpacket.c has those of AF_UNIX, pairs and SOCK_SEQPACKET, and receives
 * all; sockbeside.c has what is told of them beside, sockdgram.c sends AF_UNIX datagrams, sockudp.c UDP.
 */
#ifndef EXO_RUNTIME_SOCKPACKET_H
#define EXO_RUNTIME_SOCKPACKET_H

#include "../core/sockrecord.h"
#include "sock.h"
#include "sockname.h"

/* As exo_sock_receive() and exo_sock_send() have it, one message at a time. */
long exo_packet_receive(struct exo_fd *at, struct exo_span *span, long flags,
                        struct exo_rights *rights);
long exo_packet_send(struct exo_fd *at, struct exo_span *span, long flags,
                     const struct exo_rights *rights);
long exo_packet_send_from(struct exo_fd *at, exo_sock_source *source, void *from, long flags);
/* A new one's, or after setsockopt(2): how much may be on its way. */
void exo_packet_note_limit(struct exo_sock *sock, int host);
long exo_packet_shutdown(const struct exo_sock_end *end, uint32_t how);
/* FIONREAD, SIOCOUTQ and what else ioctl(2) asks; false: the twin knows. */
bool exo_packet_ioctl(const struct exo_sock_end *end, uint32_t command, uint64_t argument,
                      long *result);
/* What recvmsg(2) tells beside the message: SCM_CREDENTIALS, IP_PKTINFO. */
void exo_packet_control(const struct exo_sock *sock, struct exo_rights *rights);

/* sockudp.c. to NULL: where it is connected to. EXO_SOCK_AGAIN: it is the host's by now. */
long exo_udp_send(struct exo_fd *at, struct exo_span *span, long flags,
                  const struct exo_sockaddr *to, long to_size);
/* connect(2); *foreign: to an address that the host is to find. */
long exo_udp_connect(struct exo_sock_end *end, const struct exo_sockaddr *to, long size,
                     bool *foreign);
/* A guest's socket of the host's has been bound: to a UDP port? */
void exo_udp_note_host(int host);
/* setsockopt(2), getsockopt(2) of what only UDP has; false: it is as with others. */
bool exo_udp_set_option(struct exo_fd *at, long level, long name, uint64_t from, long size,
                        long *result);
bool exo_udp_option(const struct exo_sock *sock, long level, long name, uint32_t *value);

#endif
