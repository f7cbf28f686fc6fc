/* Sleeping on FIFOs that guests have made, waking who does, and what is asked of the host.
 *
 * Such a FIFO is a pipe of exo's whose twin is the FIFO itself, one page small: so the host knows who has it open,
 * lets opens wait for each other, and ends sleeps when the last one at the other end goes or is killed. Who sleeps
 * polls the twin, readers for a bell, writers for the bell that they have put there to be taken out. Bells are
 * random: what else comes out of the twin is from a process outside the instance, and then, as soon as
 * anybody notices that there is one, all goes to the host.
 *
 * Rules: bells are put and taken under the pipe's own lock, in calls that do not wait (vmsplice(2): the twin is
 * whatever the guest has opened, and a FIFO does not know RWF_NOWAIT). A reader takes bells only where there is
 * nothing to read, so they were for nobody. Sets watch FIFOs by the host.
 */
#include "fifo.h"
#include "patience.h"
#include "poll.h"
#include "signal.h"
#include "translate.h"

enum settled { NEWS, ASLEEP, ENDED };

/* A bell is some bytes of the region, which the host does not copy until they are read. */
static void put_bell(int host)
{
    const uint64_t vector[2] = {(uint64_t)KR->bell, sizeof(KR->bell)};
    HOST_4(__NR_vmsplice, host, vector, 1, EXO_SPLICE_NONBLOCK);
}

static bool are_bells(const uint8_t *bytes, long size)
{
    long at = 0;
    while (at + (long)sizeof(KR->bell) <= size &&
           memcmp(bytes + at, KR->bell, sizeof(KR->bell)) == 0)
        at += (long)sizeof(KR->bell);
    return at == size;
}

long exo_fifo_take(int host, struct exo_foreign *foreign)
{
    const uint64_t vector[2] = {(uint64_t)foreign->bytes, sizeof(foreign->bytes)};
    foreign->size = 0;
    for (;;) {
        long size = HOST_4(__NR_vmsplice, host, vector, 1, EXO_SPLICE_NONBLOCK);
        if (size == -EINTR)
            continue;
        if (size > 0 && are_bells(foreign->bytes, size))
            continue;
        foreign->size = size > 0 ? (uint32_t)size : 0;
        return size;
    }
}

/* Whether the host has nobody at the other end to write to. */
static bool is_deserted(int host)
{
    struct k_pollfd poll = {.fd = host};
    int64_t now[2] = {0};
    return HOST_5(__NR_ppoll, &poll, 1, now, 0, 0) > 0 && (poll.revents & POLLERR_);
}

/* A stranger takes part. */
static void bring_to_host(struct exo_fd *at, struct exo_fd fd, struct exo_foreign *foreign)
{
    exo_pipe_leave_with(fd.stamp, fd.host, foreign);
    exo_pipe_to_host(at);
}

bool exo_fifo_is_nonblocking(const struct exo_pipe *pipe, int host)
{
    return (load_relaxed(&pipe->nonblock) & EXO_FIFO_ASKS) &&
           (HOST_2(__NR_fcntl, host, F_GETFL_) & O_NONBLOCK_);
}

/* Says that one sleeps, unless there is something by now. */
static bool lie_down_locked(struct exo_pipe *pipe, int side)
{
    store_relaxed(&pipe->sleeping[side], pipe->sleeping[side] + 1);
    full_fence(); /* who changes something after this sees it */
    if (!exo_pipe_is_ready(pipe, side))
        return true;
    store_relaxed(&pipe->sleeping[side], pipe->sleeping[side] - 1);
    return false;
}

static enum settled settle_reader_locked(const struct exo_end *end, struct exo_foreign *foreign)
{
    struct exo_pipe *pipe = end->pipe;
    store_release(&pipe->woken[EXO_PIPE_READS], 0);
    long taken = exo_fifo_take(end->fd.host, foreign);
    if (taken > 0)
        return NEWS;
    if (taken == 0)
        return exo_pipe_is_empty(pipe) ? ENDED : NEWS;
    return ASLEEP;
}

/* If the host says that readers are there whom the region does not know, they are strangers. */
static enum settled settle_writer_locked(const struct exo_end *end, bool *strange)
{
    if (exo_pipe_is_widowed(end) && is_deserted(end->fd.host))
        return ENDED;
    *strange = exo_pipe_users(end->pipe, EXO_PIPE_READS) == 0;
    store_release(&end->pipe->woken[EXO_PIPE_WRITES], 0); /* who was woken may find our bell */
    if (!*strange)
        put_bell(end->fd.host);
    return *strange ? NEWS : ASLEEP;
}

/* With foreign or strange readers *away is set, and the pipe is to go to the host. ENDED sleeps, too. */
static enum settled settle_locked(const struct exo_end *end, struct exo_foreign *foreign,
                                  bool *away)
{
    struct exo_pipe *pipe = end->pipe;
    if (pipe->mode != EXO_PIPE_OWN || !lie_down_locked(pipe, end->side))
        return NEWS;
    enum settled settled = end->side == EXO_PIPE_READS ? settle_reader_locked(end, foreign)
                                                       : settle_writer_locked(end, away);
    *away |= foreign->size > 0;
    if (settled == NEWS)
        store_relaxed(&pipe->sleeping[end->side], pipe->sleeping[end->side] - 1);
    return settled;
}

static enum settled settle(const struct exo_end *end)
{
    struct exo_foreign foreign = {.size = 0};
    bool away = false;
    exo_lock_acquire(&end->pipe->lock);
    enum settled settled = settle_locked(end, &foreign, &away);
    exo_lock_release(&end->pipe->lock);
    if (away)
        bring_to_host(end->at, end->fd, &foreign);
    return settled;
}

bool exo_fifo_settle(const struct exo_end *end)
{
    return settle(end) != NEWS;
}

static long sleep_on(const struct exo_end *end, bool *ended)
{
    struct exo_pipe *pipe = end->pipe;
    int side = end->side;
    struct k_pollfd poll = {.fd = end->fd.host,
                            .events = side == EXO_PIPE_READS ? POLLIN_ : POLLOUT_};
    uint32_t since = exo_moment();
    store_release(&area()->task->asleep_on, EXO_ASLEEP_POLLS);
    enum settled settled = settle(end);
    long result = 0;
    if (settled == ASLEEP)
        result = host_wait(__NR_ppoll, (long)&poll, 1, 0, 0, 0, 0);
    if (settled != NEWS)
        exo_pipe_rise(pipe, side);
    store_release(&area()->task->asleep_on, 0);
    *ended = settled == ENDED && side == EXO_PIPE_READS;
    if (result > 0 && (poll.revents & (POLLERR_ | POLLHUP_)))
        store_relaxed(&pipe->used[1 - side],
                      UINT32_MAX); /* the next look is to ask the host, too */
    if (result > 0)
        exo_slept(&pipe->patience[side], since);
    return result < 0 ? exo_wait_restarts(result) : 0;
}

/* A reader that does not wait, or whose writers are gone: what the host says. */
static long look_at_host(const struct exo_end *end, bool *ended)
{
    struct exo_foreign foreign = {.size = 0};
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->lock);
    bool empty = pipe->mode == EXO_PIPE_OWN && exo_pipe_is_empty(pipe);
    long taken = empty ? exo_fifo_take(end->fd.host, &foreign) : 1;
    if (taken == 0) /* it may have come before the last writer went */
        *ended = exo_pipe_is_empty(pipe);
    exo_lock_release(&pipe->lock);
    if (foreign.size > 0)
        bring_to_host(end->at, end->fd, &foreign);
    return taken >= 0 ? 0 : -EAGAIN;
}

static bool is_ready(const void *pipe, int side)
{
    return exo_pipe_is_ready(pipe, side);
}

long exo_fifo_wait(const struct exo_end *end, bool nonblock, bool *ended)
{
    struct exo_pipe *pipe = end->pipe;
    int side = end->side;
    *ended = false;
    if (nonblock && side == EXO_PIPE_WRITES)
        return exo_pipe_is_full(pipe) ? -EAGAIN : 0;
    if (nonblock || (side == EXO_PIPE_READS && exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0)) {
        long error = look_at_host(end, ended);
        if (error == 0 || nonblock)
            return error;
    }
    if (exo_look(&pipe->patience[side], is_ready, pipe, side))
        return 0;
    return sleep_on(end, ended);
}

void exo_fifo_wake(const struct exo_end *end)
{
    struct exo_foreign foreign = {.size = 0};
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->lock);
    bool sleeps = pipe->mode == EXO_PIPE_OWN && exo_pipe_wakes_sleeper_locked(pipe, 1 - end->side);
    if (sleeps && end->side == EXO_PIPE_WRITES)
        put_bell(end->fd.host);
    else if (sleeps)
        exo_fifo_take(end->fd.host, &foreign);
    exo_lock_release(&pipe->lock);
    if (foreign.size > 0)
        bring_to_host(end->at, end->fd, &foreign);
}

/* Where there is a reader, it is a stranger, or has come this moment. */
long exo_fifo_hang_up(const struct exo_end *end)
{
    if (is_deserted(end->fd.host)) {
        const uint64_t vector[2] = {(uint64_t)KR->bell, sizeof(KR->bell)};
        return HOST_4(__NR_vmsplice, end->fd.host, vector, 1, EXO_SPLICE_NONBLOCK) == -EPIPE
                   ? -EPIPE
                   : 0;
    }
    if (exo_pipe_users(exo_pipe_at(KR, end->fd.stamp), EXO_PIPE_READS) == 0)
        exo_pipe_to_host(end->at);
    return 0;
}

bool exo_fifo_hears(struct exo_fd *at)
{
    struct exo_end end;
    struct exo_foreign foreign = {.size = 0};
    if (!exo_pipe_enter_any(&end, at))
        return false;
    if (exo_pipe_is_empty(end.pipe))
        exo_fifo_take(end.fd.host, &foreign);
    exo_lock_release(end.lock);
    if (foreign.size > 0)
        bring_to_host(at, end.fd, &foreign);
    return foreign.size > 0;
}

bool exo_fifo_asks(const struct exo_fd *at)
{
    struct exo_fd fd = exo_fd_now(at);
    const struct exo_pipe *pipe = exo_pipe_at(KR, fd.stamp);
    int other = fd.flags & EXO_FD_PIPE_WRITES ? EXO_PIPE_READS : EXO_PIPE_WRITES;
    return (fd.flags & EXO_FD_PIPE) && exo_pipe_is_fifo(pipe) && exo_pipe_users(pipe, other) == 0;
}

/* The last reader leaves no bells behind: a stranger might come to read. And what is not read yet when the last
 * guest goes is the host's, which throws it away if nobody has the FIFO open. */
void exo_fifo_end(struct exo_fd gone)
{
    struct exo_foreign foreign = {.size = 0};
    struct exo_pipe *pipe = exo_pipe_at(KR, gone.stamp);
    bool reads = !(gone.flags & EXO_FD_PIPE_WRITES);
    uint32_t readers = exo_pipe_users(pipe, EXO_PIPE_READS),
             writers = exo_pipe_users(pipe, EXO_PIPE_WRITES);
    exo_lock_acquire(&pipe->lock);
    bool own = pipe->mode == EXO_PIPE_OWN;
    if (own && reads && readers == 1)
        exo_fifo_take(gone.host, &foreign);
    exo_lock_release(&pipe->lock);
    if (own && (foreign.size > 0 || (readers + writers == 1 && !exo_pipe_is_empty(pipe))))
        exo_pipe_leave_with(gone.stamp, gone.host, &foreign);
}
