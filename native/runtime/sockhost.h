/* What sockconn.c, sockname.c and sockhost.c share: sockets that become the host's, and their twins. */
#ifndef EXO_RUNTIME_SOCKHOST_H
#define EXO_RUNTIME_SOCKHOST_H

#include "sock.h"

/* A TCP socket that is to have an address outside the instance: the host's own from now on. 0, -errno. */
long exo_sock_to_host(struct exo_sock_end *end);
/* Forgets the socket: the entry is a plain one from now on, unless it has changed meanwhile. */
void exo_sock_make_plain(struct exo_sock_end *end);

/* sockmake.c: a reserved fd leads to the socket from now on. flags: SOCK_FLAGS */
void exo_sock_install(int fd, int host, uint32_t number, long flags);
#define SOCK_FLAGS (O_CLOEXEC_ | O_NONBLOCK_)

/* sockconn.c */
/* A twin has one name in its life: a new one for the next try. */
void exo_sock_renew_twin(const struct exo_sock_end *end);
long exo_sock_disconnect(struct exo_sock_end *end);
long exo_sock_join_twins(const struct exo_sock_end *end, uint32_t embryo, const void *to,
                         long size);
/* connect(2) of TCP has not come to its end: waits for that. */
long exo_sock_await(const struct exo_sock_end *end);
void exo_sock_undo(struct exo_sock *sock, uint32_t embryo);

#endif
