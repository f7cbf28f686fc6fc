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
    int side;              /* EXO_PIPE_READS, EXO_PIPE_WRITES */
    struct exo_lock *lock; /* which exo_pipe_enter() has taken */
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
/* Takes the lock of the end's side (of whose contents one is the master then), or, _any, the pipe's own, if
 * the entry still leads there and the contents are ours. */
bool exo_pipe_enter(struct exo_end *end, struct exo_fd *at);
bool exo_pipe_enter_any(struct exo_end *end, struct exo_fd *at);
/* Whether the other end has nobody, as far as that is to be known now; no lock is held. */
bool exo_pipe_is_widowed(const struct exo_end *end);
/* The host sends SIGPIPE, and says so; 0 if there is a reader, after all. */
long exo_pipe_hang_up(const struct exo_end *end);

/* Until there is something to do: 0; 1: never again, -EAGAIN if that may not be waited for, or -errno. */
long exo_pipe_await(struct exo_fd *at, bool nonblock);

/* splicepipe.c: what splice(2), tee(2) and vmsplice(2) do with pipes of exo's. Bytes moved, -errno, or
 * EXO_PIPE_AGAIN. */
enum { EXO_SPLICE_NONBLOCK = 2 };
long exo_pipe_splice(struct exo_fd *from, struct exo_fd *to, uint64_t size, long flags, bool tees);
struct exo_splice_file {
    int host;
    int64_t *offset; /* NULL: where the file stands */
};
long exo_pipe_from_file(struct exo_fd *to, struct exo_splice_file *file, uint64_t size, long flags);
long exo_pipe_to_file(struct exo_fd *from, struct exo_splice_file *file, uint64_t size, long flags);
long exo_pipe_from_memory(struct exo_fd *to, const uint64_t (*vector)[2], uint64_t count,
                          long flags);
long exo_pipe_to_memory(struct exo_fd *from, struct exo_span *span, long flags);

/* pipectl.c: FIONREAD, and fcntl(2). */
long exo_pipe_waiting(struct exo_fd *at);
long exo_pipe_fcntl(struct exo_fd *at, int command, long argument);

/* pipemake.c: this process has objects; at its end it leaves them. */
void exo_note_objects(void);
void exo_pipe_close_all(void);

/* pipewait.c. wait: 0 worth another try, or an error. */
long exo_pipe_wait(const struct exo_end *end, bool *ended);
bool exo_pipe_is_ready(const void *pipe, int side);
/* For who polls: says that it sleeps and prepares the twin; false if there is something to do. And back. */
bool exo_pipe_settle(struct exo_fd *at);
void exo_pipe_rise(struct exo_pipe *pipe, int side);
/* Whether somebody sleeps there who is to be woken, as there is something to do. */
bool exo_pipe_wakes_sleeper_locked(struct exo_pipe *pipe, int side);
/* Wakes who waits at the other end for what has been done; moved: bytes came, or a full pipe is not so
 * any more. What was done was followed by a full fence, as the release of a lock is. */
void exo_pipe_wake(const struct exo_end *end, bool moved);
static inline void exo_pipe_tell(const struct exo_end *end, bool moved)
{
    const struct exo_pipe *pipe = end->pipe;
    if (unlikely(load_relaxed(&pipe->sleeping[1 - end->side]) != 0 ||
                 exo_watched(&pipe->watch[1 - end->side])))
        exo_pipe_wake(end, moved);
}
/* A full pipe: its twin is to say so to who watches the end to write to. */
void exo_pipe_prepare(const struct exo_end *end);
/* An end is about to be watched: false if a writer's sleep would be in the way. */
bool exo_pipe_watchable(struct exo_fd *at);

/* handover.c: what is noted while the end's lock is held, of reads or writes of a page at least; NULL: nothing. */
struct exo_seen *exo_seen_begin(const struct exo_pipe *pipe, int side);
void exo_seen_end(struct exo_seen *seen);

/* pipeleave.c: an fd of the host's for an end, which does not wait; negative: it cannot be had. */
int exo_pipe_open_end(int host, int flags);
/* From now on the pipe is the host's; host is any end's fd. */
void exo_pipe_leave(uint32_t index, int host);
/* The same by an entry, which then is as any other; false if it cannot be done. */
bool exo_pipe_to_host(struct exo_fd *at);
void exo_pipe_all_to_host(void);
void exo_pipe_await_leaver(struct exo_pipe *pipe, int host);

#endif
