/* Sleeping on a pipe, and waking who does.
 *
 * A reader sleeps in reading a byte from the twin: a writer that sees it asleep writes one. A writer
 * sleeps in filling the twin, into which it has put a byte before: a reader that makes room empties
 * it. When the last one at the other end goes or is killed, the host ends both.
 *
 * Rules: pipe.sleeping is raised under the lock by who then finds nothing to do, so who comes after
 * sees it. One is woken at a time; should whoever was woken, or was about to wake, be killed, the next
 * one after a moment wakes again, and counts the living.
 */
#include "pipe.h"

#define SPIN_LIMIT 2048 /* pauses */
#define YIELD_LIMIT 16
#define TRY_EVERY 32
#define WAKE_AGAIN 64 /* units of 1024 cycles after which a waking may be lost */

static uint8_t garbage[EXO_PIPE_PAGE]; /* goes into twins, and comes out of them */

static uint32_t moment(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (high << 22 | low >> 10) | 1;
}

static bool is_ready(const struct exo_pipe *pipe, int side)
{
    uint32_t head = load_acquire(&pipe->head), tail = load_acquire(&pipe->tail);
    if (load_relaxed(&pipe->mode) != EXO_PIPE_OWN)
        return true;
    if (side == EXO_PIPE_READS)
        return head != tail || exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0;
    return head - tail < EXO_PIPE_SLOT_COUNT || exo_pipe_users(pipe, EXO_PIPE_READS) == 0;
}

/* What to spend this time, of what is worth limit at most: nothing, but for a short try now and then,
 * where it has brought nothing lately. */
static uint32_t budget(uint32_t worth, uint32_t least, uint32_t limit, uint32_t looks)
{
    if (worth < least)
        return looks % TRY_EVERY == 0 ? limit / 8 : 0;
    return worth < limit ? worth : limit;
}

/* The same as left: news has come when i of spent had gone; spent, if none has. */
static uint32_t learnt(uint32_t i, uint32_t spent, uint32_t limit)
{
    return i < spent ? (i * 4 < limit ? i * 4 + limit / 8 : limit) : spent / 2;
}

static bool look_by(const struct exo_pipe *pipe, int side, uint32_t *worth, uint32_t limit,
                    bool yields)
{
    uint32_t spent = budget(load_relaxed(worth), limit / 16, limit, pipe->looks[side]), i = 0;
    if (spent == 0)
        return false;
    while (i < spent && !is_ready(pipe, side) && !area()->stashed) {
        if (yields)
            HOST_0(__NR_sched_yield);
        else
            spin_pause();
        i++;
    }
    store_relaxed(worth, learnt(i, spent, limit));
    return is_ready(pipe, side);
}

/* Another CPU brings news soon if it is at work, this one if it is let. */
bool exo_pipe_look(struct exo_pipe *pipe, int side)
{
    store_relaxed(&pipe->looks[side], pipe->looks[side] + 1);
    return (KR->cpu_count > 1 && look_by(pipe, side, &pipe->spins[side], SPIN_LIMIT, false)) ||
           look_by(pipe, side, &pipe->yields[side], YIELD_LIMIT, true);
}

/* How many sleep there in truth, or may, for what pollers look at nobody knows. */
static uint32_t sleepers(uint32_t index, int side, uint32_t polls)
{
    uint32_t count = 0, what = index | (side == EXO_PIPE_WRITES ? EXO_ASLEEP_WRITES : 0);
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        uint32_t on = load_acquire(&KR->tasks[i].asleep_on);
        count += (on == what || (on & polls)) && exo_alive_test(&KR->tasks[i]);
    }
    return count;
}

bool exo_pipe_wakes_locked(struct exo_pipe *pipe, int side)
{
    if (likely(pipe->sleeping[side] == 0))
        return false;
    uint32_t now = moment(), before = pipe->woken[side];
    if (before != 0) {
        if (now - before < WAKE_AGAIN)
            return false;
        pipe->sleeping[side] = sleepers(exo_pipe_index(KR, pipe), side, EXO_ASLEEP_POLLS);
    }
    pipe->woken[side] = pipe->sleeping[side] != 0 ? now : 0;
    return pipe->sleeping[side] != 0;
}

/* Twins are never waited for here: a full one wakes readers, an empty one writers. */
static void put_byte(int host)
{
    const uint64_t vector[2] = {(uint64_t)garbage, 1};
    HOST_6(__NR_pwritev2, host, vector, 1, -1, -1, RWF_NOWAIT_);
}

static void empty_twin(int host)
{
    const uint64_t vector[2] = {(uint64_t)garbage, sizeof(garbage)};
    while (HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_) == sizeof(garbage))
        ;
}

void exo_pipe_wake(const struct exo_end *end)
{
    if (end->side == EXO_PIPE_WRITES)
        put_byte(end->fd.host);
    else
        empty_twin(end->fd.host);
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
        put_byte(end->fd.host);
        store_release(&pipe->filled, 1);
    } else if (pipe->filled || pipe->sleeping[EXO_PIPE_WRITES] != 0) {
        empty_twin_locked(end);
    }
}

/* A writer's sleep takes the room that a poller waits to see, so those two are the host's. */
static bool is_mixed_locked(struct exo_pipe *pipe, int side, bool polls)
{
    uint32_t all = pipe->sleeping[side];
    if (side != EXO_PIPE_WRITES || all == 0)
        return false;
    uint32_t writers = sleepers(exo_pipe_index(KR, pipe), side, 0);
    return polls ? writers != 0 : all > writers;
}

bool exo_pipe_settle(struct exo_fd *at)
{
    struct exo_end end;
    if (!exo_pipe_enter(&end, at))
        return false;
    struct exo_pipe *pipe = end.pipe;
    bool mixed = is_mixed_locked(pipe, end.side, true), ready = is_ready(pipe, end.side);
    if (!ready && !mixed) {
        if (end.side == EXO_PIPE_WRITES)
            put_byte(end.fd.host);
        else
            empty_twin_locked(&end);
        pipe->sleeping[end.side]++;
    }
    exo_lock_release(&pipe->lock);
    if (mixed)
        exo_pipe_to_host(at);
    return !ready && !mixed;
}

void exo_pipe_rise(struct exo_pipe *pipe, int side)
{
    exo_lock_acquire(&pipe->lock);
    pipe->woken[side] = 0;
    if (pipe->sleeping[side] != 0)
        pipe->sleeping[side]--;
    exo_lock_release(&pipe->lock);
}

static long sleep_on(const struct exo_end *end)
{
    long size = end->side == EXO_PIPE_WRITES ? EXO_PIPE_PAGE : 1;
    long nr = end->side == EXO_PIPE_WRITES ? __NR_write : __NR_read;
    return host_wait(nr, end->fd.host, (long)garbage, size, 0, 0, 0);
}

long exo_pipe_wait_locked(const struct exo_end *end, bool *ended)
{
    struct exo_pipe *pipe = end->pipe;
    exo_lock_release(&pipe->lock);
    *ended = false;
    if (exo_pipe_look(pipe, end->side))
        return 0;
    exo_lock_acquire(&pipe->lock);
    bool mixed = is_mixed_locked(pipe, end->side, false);
    if (mixed || is_ready(pipe, end->side)) {
        exo_lock_release(&pipe->lock);
        if (mixed)
            exo_pipe_to_host(end->at);
        return 0;
    }
    uint32_t writes = end->side == EXO_PIPE_WRITES ? EXO_ASLEEP_WRITES : 0;
    prepare_twin_locked(end);
    pipe->sleeping[end->side]++;
    store_release(&area()->task->asleep_on, end->fd.stamp | writes);
    exo_lock_release(&pipe->lock);

    long result = sleep_on(end);

    exo_lock_acquire(&pipe->lock);
    store_release(&area()->task->asleep_on, 0);
    pipe->woken[end->side] = 0;
    if (pipe->sleeping[end->side] != 0)
        pipe->sleeping[end->side]--;
    *ended = result == 0 && !is_ready(pipe, end->side);
    exo_lock_release(&pipe->lock);
    return result > 0 ? 0 : result;
}
