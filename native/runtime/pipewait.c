/* Sleeping on a pipe, and waking who does.
 *
 * A reader sleeps in reading a byte from the twin: a writer that sees it asleep writes one. A writer
 * sleeps in filling the twin, into which it has put a byte before: a reader that makes room empties
 * it. When the last one at the other end goes or is killed, the host ends both.
 *
 * Rules: pipe.sleeping is raised by who then, a fence later, finds nothing to do, and looked at by who
 * has done something, a fence later, so one sees the other. All else here is under the pipe's own lock.
 * One is woken at a time; should whoever was woken, or was about to wake, be killed, the next one after
 * a moment wakes again, and counts the living.
 */
#include "../core/asleep.h"
#include "fifo.h"
#include "nap.h"
#include "patience.h"
#include "pipe.h"
#include "poll.h"

static uint8_t garbage[EXO_PIPE_PAGE]; /* goes into twins, and comes out of them */

bool exo_pipe_is_ready(const void *object, int side)
{
    const struct exo_pipe *pipe = object;
    if (load_relaxed(&pipe->mode) != EXO_PIPE_OWN)
        return true;
    bool alone = exo_pipe_users(pipe, 1 - side) == 0 && !exo_pipe_is_fifo(pipe);
    return alone || !(side == EXO_PIPE_READS ? exo_pipe_is_empty(pipe) : exo_pipe_is_full(pipe));
}

bool exo_pipe_wakes_sleeper_locked(struct exo_pipe *pipe, int side)
{
    if (pipe->sleeping[side] == 0 || !exo_pipe_is_ready(pipe, side))
        return false;
    uint32_t now = exo_moment(), before = pipe->woken[side];
    if (before != 0) {
        if (now - before < EXO_WAKE_AGAIN)
            return false;
        store_relaxed(&pipe->sleeping[side],
                      exo_sleepers(KR, exo_pipe_index(KR, pipe), side == EXO_PIPE_WRITES, true));
    }
    pipe->woken[side] = pipe->sleeping[side] != 0 ? now : 0;
    return pipe->sleeping[side] != 0;
}

/* Twins are never waited for here: a full one wakes readers, an empty one writers. */
static bool put_byte(int host)
{
    const uint64_t vector[2] = {(uint64_t)garbage, 1};
    return HOST_6(__NR_pwritev2, host, vector, 1, -1, -1, RWF_NOWAIT_) == 1;
}

/* Whether there was anything in it. */
static bool empty_twin(int host)
{
    const uint64_t vector[2] = {(uint64_t)garbage, sizeof(garbage)};
    bool any = false;
    for (;;) {
        long size = HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_);
        any |= size > 0;
        if (size != sizeof(garbage))
            return any;
    }
}

/* A byte for the twin by who has the end to read, which takes the host's /proc. An end that was opened
 * there does not wait, and does not know RWF_NOWAIT. */
static void put_byte_back(int host)
{
    int writes = exo_pipe_open_end(host, O_WRONLY_);
    if (writes < 0)
        return;
    HOST_3(__NR_write, writes, garbage, 1);
    HOST_1(__NR_close, writes);
}

/* A byte for who watches; those before it stay in the twin, until it is full of them. */
static void put_news(int host)
{
    if (put_byte(host))
        return;
    int reads = exo_pipe_open_end(host, O_RDONLY_);
    if (reads < 0)
        return;
    while (HOST_3(__NR_read, reads, garbage, sizeof(garbage)) == sizeof(garbage))
        ;
    HOST_1(__NR_close, reads);
    put_byte(host);
}

/* Something was taken from the twin that may have been to wake who watches the pipe. */
static void wake_watchers_again(const struct exo_end *end)
{
    const uint32_t *watch = &end->pipe->watch[EXO_PIPE_READS];
    if (exo_watched(watch) && exo_watch_again(KR, watch) && !exo_pipe_is_empty(end->pipe))
        put_byte_back(end->fd.host);
}

static void wake_writers(const struct exo_end *end, bool watchers)
{
    if (!empty_twin(end->fd.host) && watchers) {
        put_byte_back(end->fd.host); /* somebody else has emptied it: it has to be once more */
        empty_twin(end->fd.host);
    }
    wake_watchers_again(end);
}

static void wake(const struct exo_end *end, bool sleeper, bool watchers)
{
    bool writes = end->side == EXO_PIPE_WRITES;
    uint32_t *watch = &end->pipe->watch[1 - end->side];
    bool told = watchers && exo_watch_tell(KR, watch, writes ? EXO_POLL_INS : EXO_POLL_OUTS);
    if (writes && told)
        store_release(&end->pipe->filled, 1);
    if (writes && told)
        put_news(end->fd.host);
    if (writes && sleeper)
        put_byte(end->fd.host);
    if (!writes && (told || sleeper))
        wake_writers(end, told);
}

/* Who brings the pipe to the host wakes all, and waits for who has begun to. */
void exo_pipe_wake(const struct exo_end *end, bool moved)
{
    struct exo_pipe *pipe = end->pipe;
    int other = 1 - end->side;
    if (exo_pipe_is_fifo(pipe)) {
        exo_fifo_wake(end);
        return;
    }
    exo_lock_acquire(&pipe->lock);
    bool own = pipe->mode == EXO_PIPE_OWN;
    bool sleeper = own && exo_pipe_wakes_sleeper_locked(pipe, other);
    bool watchers = own && moved && exo_watched(&pipe->watch[other]);
    if (sleeper || watchers)
        store_release(&area()->task->waking, end->fd.stamp);
    exo_lock_release(&pipe->lock);
    if (!sleeper && !watchers)
        return;
    wake(end, sleeper, watchers);
    store_release(&area()->task->waking, 0);
}

static void prepare_locked(const struct exo_end *end)
{
    store_release(&end->pipe->filled, 1);
    put_byte(end->fd.host);
}

void exo_pipe_prepare(const struct exo_end *end)
{
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->lock);
    if (pipe->mode == EXO_PIPE_OWN && exo_pipe_is_full(pipe))
        prepare_locked(end);
    exo_lock_release(&pipe->lock);
}

/* With nothing in the pipe, a byte in the twin is for nobody: who it was to wake sleeps on. */
static void empty_twin_locked(const struct exo_end *end)
{
    store_release(&end->pipe->filled, 0);
    end->pipe->woken[EXO_PIPE_READS] = 0;
    empty_twin(end->fd.host);
}

/* About to sleep: what would keep others from waking, or us from sleeping. */
static void prepare_twin_locked(const struct exo_end *end)
{
    struct exo_pipe *pipe = end->pipe;
    if (end->side == EXO_PIPE_WRITES) {
        prepare_locked(end);
    } else if (pipe->filled || pipe->sleeping[EXO_PIPE_WRITES] != 0) {
        empty_twin_locked(end);
    }
}

/* A writer's sleep takes the room that a poller waits to see, so those two are the host's. */
static bool is_mixed_locked(struct exo_pipe *pipe, int side, bool polls)
{
    uint32_t all = pipe->sleeping[side];
    if (side == EXO_PIPE_WRITES && !polls && exo_watched(&pipe->watch[side]))
        return true;
    if (side != EXO_PIPE_WRITES || all == 0)
        return false;
    uint32_t writers = exo_sleepers(KR, exo_pipe_index(KR, pipe), true, false);
    return polls ? writers != 0 : all > writers;
}

static void rise_locked(struct exo_pipe *pipe, int side)
{
    if (pipe->sleeping[side] != 0)
        store_relaxed(&pipe->sleeping[side], pipe->sleeping[side] - 1);
}

/* Says that somebody sleeps; false, and he does not: there is something to do. */
static bool lie_down_locked(struct exo_pipe *pipe, int side)
{
    store_relaxed(&pipe->sleeping[side], pipe->sleeping[side] + 1);
    full_fence(); /* who changes something after this sees it */
    if (!exo_pipe_is_ready(pipe, side))
        return true;
    rise_locked(pipe, side);
    return false;
}

bool exo_pipe_settle(struct exo_fd *at)
{
    struct exo_end end;
    if (!exo_pipe_enter_any(&end, at))
        return false;
    struct exo_pipe *pipe = end.pipe;
    if (exo_pipe_is_fifo(pipe)) {
        exo_lock_release(end.lock);
        return exo_fifo_settle(&end);
    }
    bool mixed = is_mixed_locked(pipe, end.side, true);
    bool settled = !mixed && lie_down_locked(pipe, end.side);
    if (settled && end.side == EXO_PIPE_WRITES)
        put_byte(end.fd.host);
    else if (settled)
        empty_twin_locked(&end);
    exo_lock_release(end.lock);
    if (settled && end.side == EXO_PIPE_READS)
        wake_watchers_again(&end);
    if (mixed)
        exo_pipe_to_host(at);
    return settled;
}

bool exo_pipe_watchable(struct exo_fd *at)
{
    struct exo_end end;
    if (!exo_pipe_enter_any(&end, at))
        return false;
    bool mixed = is_mixed_locked(end.pipe, end.side, true);
    if (!mixed && end.side == EXO_PIPE_WRITES && exo_pipe_is_full(end.pipe))
        prepare_locked(&end);
    exo_lock_release(end.lock);
    return !mixed;
}

void exo_pipe_rise(struct exo_pipe *pipe, int side)
{
    exo_lock_acquire(&pipe->lock);
    pipe->woken[side] = 0;
    rise_locked(pipe, side);
    exo_lock_release(&pipe->lock);
}

static long sleep_on(const struct exo_end *end)
{
    long size = end->side == EXO_PIPE_WRITES ? EXO_PIPE_PAGE : 1;
    long nr = end->side == EXO_PIPE_WRITES ? __NR_write : __NR_read;
    return host_wait(nr, end->fd.host, (long)garbage, size, 0, 0, 0);
}

/* False: something has come, or the pipe is the host's. */
static bool lie_down(const struct exo_end *end)
{
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->lock);
    bool own = pipe->mode == EXO_PIPE_OWN, mixed = own && is_mixed_locked(pipe, end->side, false);
    bool settled = own && !mixed && lie_down_locked(pipe, end->side);
    if (settled) {
        uint32_t writes = end->side == EXO_PIPE_WRITES ? EXO_ASLEEP_WRITES : 0;
        prepare_twin_locked(end);
        store_release(&area()->task->asleep_on, end->fd.stamp | writes);
    }
    exo_lock_release(&pipe->lock);
    if (mixed)
        exo_pipe_to_host(end->at);
    return settled;
}

/* With the twin empty: whoever ends the nap puts a byte in. */
static bool doze_off(const struct exo_end *end)
{
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->lock);
    bool naps = pipe->mode == EXO_PIPE_OWN && pipe->sleeping[EXO_PIPE_READS] == 0 &&
                !exo_watched(&pipe->watch[EXO_PIPE_READS]) && exo_nap_begin_locked(&pipe->nap);
    full_fence(); /* who writes after this sees it */
    if (naps && exo_pipe_is_ready(pipe, EXO_PIPE_READS)) {
        store_release(&pipe->nap.napper, 0);
        naps = false;
    }
    if (naps)
        prepare_twin_locked(end);
    exo_lock_release(&pipe->lock);
    return naps;
}

/* Instead of looking and sleeping: true, something has come. A signal ends that, and the sleep then. */
static bool nap(const struct exo_end *end)
{
    struct exo_pipe *pipe = end->pipe;
    struct k_pollfd poll = {.fd = end->fd.host, .events = POLLIN_};
    int64_t left[2] = {0, EXO_NAP_NS};
    if (!exo_nap_is_worth(&pipe->habit) || !doze_off(end))
        return false;
    long rang = host_wait(__NR_ppoll, (long)&poll, 1, (long)left, 0, 0, 0);
    exo_lock_acquire(&pipe->lock);
    exo_nap_end_locked(&pipe->nap, &pipe->habit);
    if (rang > 0 && (poll.revents & POLLIN_) && pipe->mode == EXO_PIPE_OWN &&
        pipe->sleeping[EXO_PIPE_READS] == 0)
        empty_twin_locked(end);
    exo_lock_release(&pipe->lock);
    return exo_pipe_is_ready(pipe, EXO_PIPE_READS);
}

/* What a reader's waiting has brought. */
static void learn(const struct exo_end *end, uint32_t since)
{
    struct exo_pipe *pipe = end->pipe;
    if (end->side == EXO_PIPE_READS)
        exo_nap_learn(&pipe->habit, since, exo_pipe_holds_little(KR, pipe, EXO_NAP_LITTLE));
}

void exo_pipe_end_nap(struct exo_fd *at, struct exo_fd fd)
{
    struct exo_pipe *pipe = exo_pipe_at(KR, fd.stamp);
    exo_lock_acquire(&pipe->lock);
    bool naps =
        pipe->mode == EXO_PIPE_OWN && exo_fd_same(exo_fd_now(at), fd) && pipe->nap.napper != 0;
    if (naps) {
        store_release(&area()->task->waking, fd.stamp);
        store_release(&pipe->filled,
                      1); /* and if it has got up meanwhile, who sleeps next takes it out */
    }
    exo_lock_release(&pipe->lock);
    if (!naps)
        return;
    fetch_add(&KR->stats.bells_owed, 1);
    put_byte(fd.host);
    store_release(&area()->task->waking, 0);
}

long exo_pipe_wait(const struct exo_end *end, bool *ended)
{
    struct exo_pipe *pipe = end->pipe;
    int side = end->side;
    *ended = false;
    uint32_t since = exo_moment();
    if (side == EXO_PIPE_READS && nap(end))
        return 0;
    if (exo_look(&pipe->patience[side], exo_pipe_is_ready, pipe, side)) {
        learn(end, since);
        return 0;
    }
    since = exo_moment();
    if (!lie_down(end))
        return 0;
    if (side == EXO_PIPE_READS)
        wake_watchers_again(end);
    long result = sleep_on(end);
    if (side == EXO_PIPE_READS)
        wake_watchers_again(end);
    store_release(&area()->task->asleep_on, 0);
    exo_pipe_rise(pipe, side);
    *ended = result == 0 && !exo_pipe_is_ready(pipe, side);
    if (result > 0)
        exo_slept(&pipe->patience[side], since);
    learn(end, since);
    return result > 0 ? 0 : result;
}
