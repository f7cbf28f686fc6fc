/* What sendmsg.c, recvmsg.c and sockmsg.c share: messages of exo's own sockets. */
#ifndef EXO_RUNTIME_SOCKMSG_H
#define EXO_RUNTIME_SOCKMSG_H

#include "sock.h"

/* side: EXO_PIPE_READS, EXO_PIPE_WRITES. False: it is the host's socket. rights may be NULL. */
bool exo_sock_message(int fd, int side, const struct k_msghdr *message, long flags,
                      struct exo_rights *rights, long *result);

#endif
