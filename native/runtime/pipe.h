/* Pipes whose contents are in the kernel region: pipemake.c makes them, pipe.c reads and writes,
 * pipewait.c sleeps and wakes, pipeleave.c gives them to the host for good.
 */
#ifndef EXO_RUNTIME_PIPE_H
#define EXO_RUNTIME_PIPE_H

#include "../core/pipe.h"
#include "../core/watch.h"
#include "area.h"

/* What an entry says, at one moment. */
struct exo_end {
    struct exo_fd *at; /* the entry */
    struct exo_fd fd;  /* ... as it was */
    struct exo_pipe *pipe;
    int side; /* EXO_PIPE_READS, EXO_PIPE_WRITES */
};

/* The call was not served: the entry is another, or not exo's pipe any more. Look again. */
#define EXO_PIPE_AGAIN (-4096L)

static inline struct exo_fd exo_fd_now(const struct exo_fd *at)
{
    uint64_t whole = load_acquire((const uint64_t *)at);
    struct exo_fd fd;
    memcpy(&fd, &whole, sizeof(fd));
    return fd;
}

/* pipe.c. A result, -errno, or EXO_PIPE_AGAIN. */
long exo_pipe_transfer(struct exo_fd *at, int side, struct exo_span *span);
long exo_pipe_fcntl(struct exo_fd *at, int command, long argument);
long exo_pipe_waiting(struct exo_fd *at); /* FIONREAD */
bool exo_pipe_enter(struct exo_end *end, struct exo_fd *at);

/* pipemake.c: this process has objects; at its end it leaves them. */
void exo_note_objects(void);
void exo_pipe_close_all(void);

/* pipewait.c. wait: 0 worth another try, or an error; the pipe's lock is held before, not after. */
long exo_pipe_wait_locked(const struct exo_end *end, bool *ended);
/* For who polls: says that it sleeps and prepares the twin; false if there is something to do. And back. */
bool exo_pipe_settle(struct exo_fd *at);
void exo_pipe_rise(struct exo_pipe *pipe, int side);
/* Who waits for what has been done, moved: bytes came, or a full pipe is not so any more. */
enum { EXO_WAKES_SLEEPER = 1, EXO_WAKES_WATCHERS = 2 };
uint32_t exo_pipe_wakes_locked(struct exo_pipe *pipe, int side, bool moved);
void exo_pipe_wake(const struct exo_end *end, uint32_t wakes);
/* A full pipe: its twin is to say so to who watches the end to write to. */
void exo_pipe_prepare_locked(const struct exo_end *end);
/* An end is about to be watched: false if a writer's sleep would be in the way. */
bool exo_pipe_watchable(struct exo_fd *at);

/* pipeleave.c: an fd of the host's for an end, which does not wait; negative: it cannot be had. */
int exo_pipe_open_end(int host, int flags);
/* From now on the pipe is the host's; host is any end's fd. */
void exo_pipe_leave(uint32_t index, int host);
/* The same by an entry, which then is as any other; false if it cannot be done. */
bool exo_pipe_to_host(struct exo_fd *at);
void exo_pipe_all_to_host(void);
void exo_pipe_await_leaver(struct exo_pipe *pipe, int host);

#endif
