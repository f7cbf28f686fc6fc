/* Reading and writing pipes, and asking about them: in the kernel region, without the host unless
 * somebody sleeps.
 *
 * Rules: a pipe's lock is held for copies only. What the host alone knows, whether anybody is left at
 * the other end, is asked when there is nothing to read, or when who has the other end may be dead.
 * Whatever other calls do with a pipe, first makes it the host's (exo_pipe_to_host()).
 */
#include "pipe.h"
#include "translate.h"

/* Takes the pipe's lock if the entry still leads there and the contents are ours. */
bool exo_pipe_enter(struct exo_end *end, struct exo_fd *at)
{
    end->at = at;
    end->fd = exo_fd_now(at);
    if (!(end->fd.flags & EXO_FD_PIPE))
        return false;
    end->pipe = exo_pipe_at(KR, end->fd.stamp);
    end->side = end->fd.flags & EXO_FD_PIPE_WRITES ? EXO_PIPE_WRITES : EXO_PIPE_READS;
    exo_lock_acquire(&end->pipe->lock);
    if (likely(end->pipe->mode == EXO_PIPE_OWN && exo_fd_same(exo_fd_now(at), end->fd)))
        return true;
    uint32_t mode = end->pipe->mode;
    exo_lock_release(&end->pipe->lock);
    if (mode == EXO_PIPE_LEAVES)
        exo_pipe_await_leaver(end->pipe, end->fd.host);
    else if (mode == EXO_PIPE_HOST)
        exo_pipe_to_host(at);
    return false;
}

static void note_use(struct exo_pipe *pipe, int side)
{
    uint32_t mine = area()->task->leader_slot;
    if (pipe->used[side] != mine)
        pipe->used[side] = mine;
}

/* Whether the host says that nobody is left at the other end. */
static bool host_hangs_up(const struct exo_end *end)
{
    struct {
        int32_t fd;
        int16_t events, revents;
    } poll = {.fd = end->fd.host};
    int64_t now[2] = {0};
    return HOST_5(__NR_ppoll, &poll, 1, now, 0, 0) > 0 && (poll.revents & 0x18); /* ERR, HUP */
}

/* Whether who was last at the other end lives; nobody there yet is nobody known. */
static bool other_lives(const struct exo_end *end)
{
    uint32_t slot = end->pipe->used[1 - end->side];
    return slot != 0 && slot < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[slot]);
}

/* After done bytes there is nothing to do now; the lock is held, and released. True: worth another try.
 * Else *result is the call's. */
static bool rest_locked(const struct exo_end *end, long done, long *result)
{
    struct exo_pipe *pipe = end->pipe;
    bool ended = false;
    long error = -EAGAIN;
    if (pipe->nonblock >> end->side & 1) {
        bool sure = done > 0 || end->side == EXO_PIPE_WRITES || other_lives(end);
        exo_lock_release(&pipe->lock);
        ended = !sure && host_hangs_up(end);
    } else {
        error = exo_pipe_wait_locked(end, &ended);
        if (error == 0 && !ended)
            return true;
    }
    *result = done > 0 || ended ? done : error;
    return false;
}

static long read_pipe(struct exo_fd *at, struct exo_span *span)
{
    struct exo_end end;
    long done;
    do {
        if (unlikely(!exo_pipe_enter(&end, at)))
            return EXO_PIPE_AGAIN;
        struct exo_pipe *pipe = end.pipe;
        note_use(pipe, EXO_PIPE_READS);
        done = exo_pipe_pull_locked(KR, pipe, span);
        if (done != 0 || exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0) {
            bool wakes = done > 0 && exo_pipe_wakes_locked(pipe, EXO_PIPE_WRITES);
            exo_lock_release(&pipe->lock);
            if (unlikely(wakes))
                exo_pipe_wake(&end);
            return done;
        }
    } while (rest_locked(&end, 0, &done));
    return done;
}

/* The host sends SIGPIPE, and says so; 0 if there is a reader, after all. */
static long hang_up(const struct exo_end *end)
{
    long result = HOST_3(__NR_write, end->fd.host, "", 1);
    return result == -EPIPE ? result : 0;
}

static bool is_widowed(const struct exo_end *end)
{
    return exo_pipe_users(end->pipe, EXO_PIPE_READS) == 0 ||
           (unlikely(end->pipe->used[EXO_PIPE_READS] != 0 && !other_lives(end)) &&
            host_hangs_up(end));
}

static long write_pipe(struct exo_fd *at, struct exo_span *span)
{
    struct exo_end end;
    long sum = 0, result = 0;
    bool asked = false; /* the host has a reader, after all */
    for (;;) {
        if (unlikely(!exo_pipe_enter(&end, at)))
            return sum > 0 ? sum : EXO_PIPE_AGAIN;
        struct exo_pipe *pipe = end.pipe;
        if (unlikely(!asked && is_widowed(&end))) {
            exo_lock_release(&pipe->lock);
            long error = hang_up(&end);
            if (error != 0)
                return sum > 0 ? sum : error;
            asked = true;
            continue; /* the pipe may have become the host's meanwhile */
        }
        asked = false;
        note_use(pipe, EXO_PIPE_WRITES);
        long done = exo_pipe_push_locked(KR, pipe, span);
        sum += done > 0 ? done : 0;
        bool wakes = done > 0 && exo_pipe_wakes_locked(pipe, EXO_PIPE_READS);
        if (span->left == 0 || done < 0) {
            exo_lock_release(&pipe->lock);
            if (unlikely(wakes))
                exo_pipe_wake(&end);
            return sum > 0 ? sum : done;
        }
        if (wakes) { /* before we sleep ourselves */
            exo_lock_release(&pipe->lock);
            exo_pipe_wake(&end);
            continue;
        }
        if (!rest_locked(&end, sum, &result))
            return result;
    }
}

long exo_pipe_transfer(struct exo_fd *at, int side, struct exo_span *span)
{
    bool writes = exo_fd_now(at).flags & EXO_FD_PIPE_WRITES;
    if (writes != (side == EXO_PIPE_WRITES))
        return -EBADF;
    if (span->left == 0)
        return 0;
    return side == EXO_PIPE_WRITES ? write_pipe(at, span) : read_pipe(at, span);
}

long exo_pipe_waiting(struct exo_fd *at)
{
    struct exo_end end;
    if (!exo_pipe_enter(&end, at))
        return EXO_PIPE_AGAIN;
    long size = (long)exo_pipe_size(end.pipe);
    exo_lock_release(&end.pipe->lock);
    return size;
}

/* What fcntl(2) does with a pipe's flags and size; all else is the host's. */
long exo_pipe_fcntl(struct exo_fd *at, int command, long argument)
{
    struct exo_end end;
    if (command == F_GETPIPE_SZ_ || command == F_GETFL_) {
        if (!exo_pipe_enter(&end, at))
            return EXO_PIPE_AGAIN;
        exo_lock_release(&end.pipe->lock);
        return command == F_GETPIPE_SZ_ ? EXO_PIPE_SIZE : HOST_2(__NR_fcntl, end.fd.host, command);
    }
    if (command != F_SETFL_ || (argument & (O_ASYNC_ | O_DIRECT_)))
        return EXO_PIPE_AGAIN;
    if (!exo_pipe_enter(&end, at))
        return EXO_PIPE_AGAIN;
    uint32_t bit = 1U << end.side;
    end.pipe->nonblock = (end.pipe->nonblock & ~bit) | (argument & O_NONBLOCK_ ? bit : 0);
    long error = HOST_3(__NR_fcntl, end.fd.host, command, argument);
    exo_lock_release(&end.pipe->lock);
    return error;
}
