/* sockrows.c: options of sockets that are numbers. */
#ifndef EXO_RUNTIME_SOCKROWS_H
#define EXO_RUNTIME_SOCKROWS_H

#include "sock.h"

#define SO_LINGER_ 13

/* Which of exo_sock.options it is; -1: none. */
int exo_sock_row(const struct exo_sock *sock, long level, long name);
/* 0 or -EINVAL. */
long exo_sock_set_row(struct exo_sock *sock, int row, uint32_t value);
uint32_t exo_sock_get_row(const struct exo_sock *sock, int row);
/* Gives a socket of the host's the options of ours. */
void exo_sock_replay(const struct exo_sock *sock, int host);

#endif
