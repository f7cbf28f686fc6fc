/* What programs about FIFOs share: the ends of one that is called "line", opened without waiting. */
#pragma once
#include "pipes.h"

#include <sys/stat.h>

static char bytes[1 << 17], got[1 << 17];

static inline int reader(int flags)
{
    int fd = open("line", O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0 && fcntl(fd, F_SETFL, flags) == 0);
    return fd;
}

static inline int writer(int flags)
{
    int fd = open("line", O_WRONLY | O_NONBLOCK);
    CHECK(fd >= 0 && fcntl(fd, F_SETFL, flags) == 0);
    return fd;
}

static inline void shut_all(void)
{
    for (int i = 3; i < 40; i++)
        close(i);
}
