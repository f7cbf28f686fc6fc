/* sockunix.c: AF_UNIX names of this instance. */
#ifndef EXO_RUNTIME_SOCKUNIX_H
#define EXO_RUNTIME_SOCKUNIX_H

#include "sock.h"
#include "sockname.h"

/* A guest has bound a socket of the host's, or has made it listen. */
void exo_unix_bound(int host, const struct exo_sockaddr *name, long size);
void exo_unix_listens(int host);
/* Host pid of the guest that listens there, 0: none does, or nobody knows; and whether it was that one that
 * the host has connected to. */
uint32_t exo_unix_listener(const struct exo_sockaddr *name, long size);
bool exo_unix_is_listener(int host, uint32_t pid);

/* Device and inode of a path, as the host finds it from here; a hash of an abstract name. */
bool exo_unix_key(uint64_t *key, const struct exo_sockaddr *name, long size);
/* Number of the guests' datagram socket that has the name, if we may send there; 0: the host is to say. */
uint32_t exo_unix_dgram(const struct exo_sockaddr *name, long size, uint64_t *generation);

/* sockunixconn.c: connect(2) of AF_UNIX. */
long exo_unix_connect(struct exo_sock_end *end, uint64_t at, long size);
/* Whether the twin has a name that is the guest's affair. */
bool exo_unix_is_named(const struct exo_sock_end *end);
/* The twin of a client has a name of exo's. Then the guest's own, which bind(2) gives it, is in the region. */
bool exo_unix_is_client(const struct exo_sock_end *end);
long exo_unix_bind_client(const struct exo_sock_end *end, const struct exo_sockaddr *name,
                          long size);
/* An abstract name that a client has so; and that of a client, or of who has accepted it: its size. */
bool exo_unix_is_taken(const struct exo_sockaddr *name, long size);
int32_t exo_unix_client_name(const struct exo_sock *sock, struct exo_sockaddr *name);

#endif
