/* sockinfo.c: TCP_INFO; and what getsockopt(2) gives. */
#ifndef EXO_RUNTIME_SOCKINFO_H
#define EXO_RUNTIME_SOCKINFO_H

#include "sock.h"

#define LOOPBACK_MSS 65483

/* A value of `size` bytes to a guest that has room for as many as stand at size_at. */
long exo_sock_give(const void *value, uint32_t size, uint64_t to, uint64_t size_at);
long exo_sock_give_info(const struct exo_sock *sock, uint64_t to, uint64_t size_at);

#endif
