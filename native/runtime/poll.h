/* What poll.c and pollpipe.c share. */
#ifndef EXO_RUNTIME_POLL_H
#define EXO_RUNTIME_POLL_H

#include "signal.h"

struct k_pollfd {
    int32_t fd;
    int16_t events, revents;
};

#define EXO_POLL_COUNT 256 /* fds for which there is room on the stack */

/* poll.c: the host's ppoll(2); timeout is the address of a timespec, which becomes what is left, or 0. */
long exo_poll_host(const void *fds, uint64_t count, long timeout, struct exo_wait_mask *mask);

/* A guest's mask argument: *mask is room, or NULL if it gives none. 0 or -errno. */
long exo_poll_mask(struct exo_wait_mask **mask, uint64_t from, uint64_t size);
long exo_poll_check_timeout(uint64_t from); /* a timespec's */

/* pollpipe.c: polls has guest numbers, and pipes of exo's among them; hosts is room for as many. */
bool exo_poll_is_pipe(int fd);
long exo_poll_mixed(struct k_pollfd *polls, struct k_pollfd *hosts, uint64_t count, long timeout,
                    struct exo_wait_mask *mask);

#endif
