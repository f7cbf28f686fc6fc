/* What pipe.c does with pipes, with FIFOs. */
#include "pipes.h"

#include <sys/stat.h>

/* As pipe2(2), by a name that is gone again. */
static int name_pipe(int *fds, int flags)
{
    static int count;
    char name[32];
    if ((long)fds == 8 || (flags & ~(O_CLOEXEC | O_NONBLOCK)))
        return pipe2(fds, flags);
    snprintf(name, sizeof(name), "fifo.%d.%d", (int)getpid(), count++);
    if (mkfifo(name, 0600) != 0)
        return -1;
    fds[0] = open(name, O_RDONLY | O_NONBLOCK | (flags & O_CLOEXEC));
    fds[1] = open(name, O_WRONLY | flags);
    if (fds[0] < 0 || fds[1] < 0 || unlink(name) != 0)
        return -1;
    return fcntl(fds[0], F_SETFL, flags & O_NONBLOCK);
}

#define pipe2 name_pipe
#define make make_named
static inline void make_named(int *fds, int flags)
{
    if (name_pipe(fds, flags) != 0)
        exit(2);
}
#include "pipe.c"
