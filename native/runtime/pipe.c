/* Reading and writing pipes: in the kernel region, without the host unless somebody sleeps.
 *
 * Rules: writers hold the pipe's input lock, readers its output lock, for copies only. What the host alone
 * knows, whether anybody is left at the other end, is asked when there is nothing to read, or when who
 * has the other end may be dead. Whatever other calls do with a pipe, first makes it the host's
 * (exo_pipe_to_host()).
 */
#include "pipe.h"
#include "fifo.h"
#include "nap.h"
#include "translate.h"

/* Somebody splices what is in it: as if he held the lock. */
static bool is_taken(struct exo_pipe *pipe)
{
    uint32_t taker = pipe->taker;
    if (likely(taker == 0))
        return false;
    if (taker != area()->slot && taker < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[taker]))
        return true;
    pipe->taker = 0;
    return false;
}

static bool enter(struct exo_end *end, struct exo_fd *at, bool any)
{
    end->at = at;
    end->fd = exo_fd_now(at);
    if (!(end->fd.flags & EXO_FD_PIPE))
        return false;
    struct exo_pipe *pipe = end->pipe = exo_pipe_at(KR, end->fd.stamp);
    end->side = end->fd.flags & EXO_FD_PIPE_WRITES ? EXO_PIPE_WRITES : EXO_PIPE_READS;
    end->lock = any ? &pipe->lock : exo_pipe_lock(pipe, end->side);
    exo_lock_acquire(end->lock);
    bool taken = end->lock == &pipe->output && unlikely(is_taken(pipe));
    if (likely(load_acquire(&pipe->mode) == EXO_PIPE_OWN && exo_fd_same(exo_fd_now(at), end->fd) &&
               !taken))
        return true;
    uint32_t mode = load_acquire(&pipe->mode);
    exo_lock_release(end->lock);
    if (mode == EXO_PIPE_LEAVES)
        exo_pipe_await_leaver(pipe, end->fd.host);
    else if (mode == EXO_PIPE_HOST)
        exo_pipe_to_host(at);
    else if (taken)
        HOST_0(__NR_sched_yield);
    return false;
}

bool exo_pipe_enter(struct exo_end *end, struct exo_fd *at)
{
    return enter(end, at, false);
}

bool exo_pipe_enter_any(struct exo_end *end, struct exo_fd *at)
{
    return enter(end, at, true);
}

static void note_use(struct exo_pipe *pipe, int side)
{
    uint32_t mine = area()->task->leader_slot;
    if (load_relaxed(&pipe->used[side]) != mine)
        store_relaxed(&pipe->used[side], mine);
}

/* Whether the host says that nobody is left at the other end. */
static bool host_hangs_up(const struct exo_end *end)
{
    struct {
        int32_t fd;
        int16_t events, revents;
    } poll = {.fd = end->fd.host};
    int64_t now[2] = {0};
    return HOST_5(__NR_ppoll, &poll, 1, now, 0, 0) > 0 && (poll.revents & EXO_POLL_GONE);
}

/* Whether who was last at the other end lives; nobody there yet is nobody known. */
static bool other_lives(const struct exo_end *end)
{
    uint32_t slot = load_relaxed(&end->pipe->used[1 - end->side]);
    return slot != 0 && slot < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[slot]);
}

/* After done bytes there is nothing to do now. True: worth another try. Else *result is the call's. */
static bool rest(const struct exo_end *end, long done, long *result)
{
    const struct exo_pipe *pipe = end->pipe;
    bool ended = false, writes = end->side == EXO_PIPE_WRITES;
    long error = -EAGAIN;
    if (exo_pipe_is_fifo(pipe)) {
        exo_nap_pay();
        error = exo_fifo_wait(end, exo_fifo_is_nonblocking(pipe, end->fd.host), &ended);
        if (error == 0 && !ended)
            return true;
    } else if (load_relaxed(&pipe->nonblock) >> end->side & 1) {
        bool sure = done > 0 || writes || other_lives(end);
        exo_nap_pay();
        ended = !sure && host_hangs_up(end);
        full_fence(); /* who makes room after this sees that there was none */
        if ((ended && !exo_pipe_is_empty(pipe)) || (writes && !exo_pipe_is_full(pipe)))
            return true;
    } else {
        error = exo_pipe_wait(end, &ended);
        if (error == 0 && !ended)
            return true;
    }
    *result = done > 0 || ended ? done : error;
    return false;
}

long exo_pipe_await(struct exo_fd *at, bool nonblock)
{
    struct exo_end end;
    bool ended = false;
    for (;;) {
        if (!exo_pipe_enter_any(&end, at))
            return EXO_PIPE_AGAIN;
        exo_lock_release(end.lock);
        if (exo_pipe_is_ready(end.pipe, end.side))
            return 0;
        bool fifo = exo_pipe_is_fifo(end.pipe);
        if (nonblock && !fifo)
            return !other_lives(&end) && host_hangs_up(&end) ? 1 : -EAGAIN;
        long error = fifo ? exo_fifo_wait(&end, nonblock, &ended) : exo_pipe_wait(&end, &ended);
        if (error != 0 || ended)
            return error != 0 ? error : 1;
    }
}

static long pull(struct exo_pipe *pipe, struct exo_span *span)
{
    if (span->left >= EXO_PIPE_PAGE)
        span->seen = area()->relays ? exo_seen_begin(pipe, EXO_PIPE_READS) : NULL;
    long done = exo_pipe_pull_locked(KR, pipe, span);
    if (unlikely(span->seen != NULL))
        exo_seen_end(span->seen);
    return done;
}

static long push(struct exo_pipe *pipe, struct exo_span *span, uint16_t flags)
{
    span->seen = NULL;
    if (span->left >= EXO_PIPE_PAGE)
        span->seen = area()->relays ? exo_seen_begin(pipe, EXO_PIPE_WRITES) : NULL;
    if (span->left >= EXO_PIPE_PAGE && !area()->relays)
        area()->relays = 1;
    long done = exo_pipe_push_locked(KR, pipe, span, flags);
    if (unlikely(span->seen != NULL))
        exo_seen_end(span->seen);
    return done;
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
        bool over = exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0 && /* before what is the last then */
                    !exo_pipe_is_fifo(pipe);
        uint32_t tail = pipe->tail;
        done = pull(pipe, span);
        exo_lock_release(end.lock);
        if (done > 0)
            exo_pipe_tell(&end, load_acquire(&pipe->head) - tail >= exo_pipe_slots(pipe));
        if (done != 0 || over)
            return done;
    } while (rest(&end, 0, &done));
    return done;
}

long exo_pipe_hang_up(const struct exo_end *end)
{
    if ((end->fd.flags & EXO_FD_PIPE) && exo_pipe_is_fifo(exo_pipe_at(KR, end->fd.stamp)))
        return exo_fifo_hang_up(end);
    long result = HOST_3(__NR_write, end->fd.host, "", 1);
    return result == -EPIPE ? result : 0;
}

bool exo_pipe_is_widowed(const struct exo_end *end)
{
    return exo_pipe_users(end->pipe, EXO_PIPE_READS) == 0 ||
           (unlikely(load_relaxed(&end->pipe->used[EXO_PIPE_READS]) != 0 && !other_lives(end)) &&
            host_hangs_up(end));
}

/* Much flows through it. */
static void give_lane(struct exo_pipe *pipe)
{
    if (!exo_pipe_give_lane(KR, pipe))
        store_relaxed(&pipe->turn, 0); /* perhaps later */
}

/* Until much has come there is no need to wake who naps while we go on. */
static void spare_napper(const struct exo_end *end, long done)
{
    struct exo_pipe *pipe = end->pipe;
    exo_nap_owe(&pipe->nap, end->at, end->fd);
    if (done >= EXO_NAP_LITTLE ||
        load_relaxed(&pipe->head) - load_relaxed(&pipe->tail) > exo_pipe_slots(pipe) / 4)
        exo_nap_pay();
}

/* What was pushed is told, and what that has come to. */
static void follow_up(const struct exo_end *end, long done)
{
    struct exo_pipe *pipe = end->pipe;
    if (done > 0)
        exo_pipe_tell(end, true);
    if (unlikely(load_relaxed(&pipe->nap.napper) != 0) && done > 0)
        spare_napper(end, done);
    if (exo_watched(&pipe->watch[EXO_PIPE_WRITES]) && exo_pipe_is_full(pipe))
        exo_pipe_prepare(end);
    if (unlikely(load_relaxed(&pipe->turn) >= EXO_LANE_PAGE_COUNT &&
                 load_relaxed(&pipe->lane) == 0))
        give_lane(pipe);
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
        if (unlikely(!asked && exo_pipe_is_widowed(&end))) {
            exo_lock_release(end.lock);
            long error = exo_pipe_hang_up(&end);
            if (error != 0)
                return sum > 0 ? sum : error;
            asked = true;
            continue; /* the pipe may have become the host's meanwhile */
        }
        asked = false;
        note_use(pipe, EXO_PIPE_WRITES);
        uint16_t flags =
            load_relaxed(&pipe->nonblock) & EXO_PIPE_PACKETS ? EXO_PAGE_PACKET : EXO_PAGE_GROWS;
        long done = push(pipe, span, flags);
        exo_lock_release(end.lock);
        sum += done > 0 ? done : 0;
        follow_up(&end, done);
        if (span->left == 0 || done < 0)
            return sum > 0 ? sum : done;
        if (!rest(&end, sum, &result))
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
