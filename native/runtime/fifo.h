/* FIFOs that guests have made: what is in them is in a pipe of the region, whose twin is the FIFO itself. fifoopen.c
 * makes and opens them, fifo.c sleeps, wakes and asks the host; all else is as for any pipe.
 */
#ifndef EXO_RUNTIME_FIFO_H
#define EXO_RUNTIME_FIFO_H

#include "../core/fifo.h"
#include "pipe.h"

/* What was in a twin and is no bell: a process outside the instance has written it. */
struct exo_foreign {
    uint32_t size;
    uint8_t bytes[EXO_PIPE_PAGE];
};

/* fifo.c. Takes out of the twin what has rung, by an end to read from: bytes of a stranger's, 0: nobody has it
 * open to write, -EAGAIN. */
long exo_fifo_take(int host, struct exo_foreign *foreign);
/* There was nothing to read, or no room: 0 worth another try, or nothing ever if *ended; else -errno. */
long exo_fifo_wait(const struct exo_end *end, bool nonblock, bool *ended);
bool exo_fifo_is_nonblocking(const struct exo_pipe *pipe, int host);
/* As exo_pipe_settle(), exo_pipe_wake() and exo_pipe_hang_up() for these. */
bool exo_fifo_settle(const struct exo_end *end);
void exo_fifo_wake(const struct exo_end *end);
long exo_fifo_hang_up(const struct exo_end *end);
/* The twin has something, which the pipe has not: true if that was a stranger's, and all is the host's now. */
bool exo_fifo_hears(struct exo_fd *at);
/* Whether poll(2) has to ask the host who is left. */
bool exo_fifo_asks(const struct exo_fd *at);
/* An entry is about to be gone, its host fd open still. */
void exo_fifo_end(struct exo_fd gone);
static inline void exo_fifo_leave(struct exo_fd gone)
{
    if (unlikely(gone.flags & EXO_FD_PIPE) && exo_pipe_is_fifo(exo_pipe_at(KR, gone.stamp)))
        exo_fifo_end(gone);
}

/* pipeleave.c. As exo_pipe_leave(), and foreign goes in first. */
void exo_pipe_leave_with(uint32_t index, int host, struct exo_foreign *foreign);

/* fifoopen.c: around an open(2) of the host's; a FIFO that is known by its name is joined before. */
struct exo_fifo_open {
    uint64_t key[3];
    uint32_t row, pipe; /* 0: none */
    int side;
};
void exo_fifo_expect(struct exo_fifo_open *open, int dirfd, const char *path, uint64_t flags);
/* What was opened goes into the table as number fd, if that was a FIFO of a guest's. */
bool exo_fifo_opened(struct exo_fifo_open *open, int fd, int host, uint64_t flags);
void exo_fifo_not_opened(const struct exo_fifo_open *open);

#endif
