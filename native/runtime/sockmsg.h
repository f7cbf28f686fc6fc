/* What message.c and sockmsg.c share: struct msghdr, and messages of exo's own sockets. */
#ifndef EXO_RUNTIME_SOCKMSG_H
#define EXO_RUNTIME_SOCKMSG_H

#include "sock.h"

struct k_msghdr {
    uint64_t name;
    uint32_t name_size, pad;
    uint64_t iov, iov_count, control, control_size;
    uint32_t flags, pad2;
};

struct k_cmsghdr {
    uint64_t size;
    int32_t level, type;
};

/* side: EXO_PIPE_READS, EXO_PIPE_WRITES. False: it is the host's socket. rights may be NULL. */
bool exo_sock_message(int fd, int side, const struct k_msghdr *message, long flags,
                      struct exo_rights *rights, long *result);

#endif
