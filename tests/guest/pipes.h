/* What programs about pipes share: making and closing them, what waits in one, and signals counted. */
#pragma once
#include "check.h"

#include <sys/ioctl.h>

static volatile sig_atomic_t signals;

static inline void count_signal(int sig)
{
    signals += sig == SIGPIPE || sig == SIGALRM;
}

static inline void make(int *fds, int flags)
{
    if (pipe2(fds, flags) != 0)
        exit(2);
}

static inline void shut(const int *fds)
{
    close(fds[0]);
    close(fds[1]);
}

static inline int waiting(int fd)
{
    int count = -1;
    CHECK(ioctl(fd, FIONREAD, &count) == 0);
    return count;
}
