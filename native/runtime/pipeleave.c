/* A pipe becomes the host's for good: what is in it goes into the twin, which gets its size back. For
 * every call that exo does not serve itself, and for fds that leave the fd tables.
 *
 * Rules: first nobody new may sleep on the twin (EXO_PIPE_LEAVES), then all who do are woken, then it is
 * emptied of what woke them, then filled. Whoever finds the one who does it dead does it.
 */
#include "epoll.h"
#include "fifo.h"
#include "text.h"
#include "translate.h"

struct leaving {
    struct exo_pipe *pipe;
    struct exo_foreign *foreign; /* of a FIFO: what goes in first */
    uint32_t index;
    int host[2]; /* both ends */
};

/* An end of the host's pipe that does not wait; a negative number if the host's /proc is not there. */
int exo_pipe_open_end(int host, int flags)
{
    char path[40];
    exo_put_number(exo_put_text(path, "/proc/self/fd/"), (uint64_t)host);
    return (int)HOST_4(__NR_openat, AT_FDCWD_, path, flags | O_NONBLOCK_ | O_CLOEXEC_, 0);
}

static void drain(int host)
{
    uint8_t bytes[512];
    while (HOST_3(__NR_read, host, bytes, sizeof(bytes)) > 0)
        ;
}

/* Wakes who sleeps on the twin; whether anybody does, or is about to wake others. */
static bool wake_sleepers(const struct leaving *by)
{
    bool any = false;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        uint32_t what = load_acquire(&KR->tasks[i].asleep_on);
        bool sleeps = (what & ~EXO_ASLEEP_WRITES) == by->index;
        bool wakes = load_acquire(&KR->tasks[i].waking) == by->index && i != area()->slot;
        if ((!sleeps && !wakes) || !exo_alive_test(&KR->tasks[i]))
            continue;
        any = true;
        if (!sleeps)
            continue;
        if (what & EXO_ASLEEP_WRITES)
            drain(by->host[0]);
        else
            HOST_3(__NR_write, by->host[1], "", 1);
    }
    return any;
}

/* Nobody who has begun to read or write goes on any more. */
static void await_users(struct exo_pipe *pipe)
{
    exo_lock_acquire(&pipe->input);
    exo_lock_release(&pipe->input);
    for (;;) {
        exo_lock_acquire(&pipe->output);
        uint32_t taker = pipe->taker;
        exo_lock_release(&pipe->output);
        if (taker == 0 || taker == area()->slot || taker >= EXO_TASK_COUNT ||
            !exo_alive_test(&KR->tasks[taker]))
            return;
        HOST_0(__NR_sched_yield);
    }
}

/* Bells go, and what is not one stays; the size is for that, too. */
static void empty_twin_locked(const struct leaving *by)
{
    uint32_t size = exo_pipe_slots(by->pipe) * EXO_PIPE_PAGE;
    struct exo_foreign *foreign = by->foreign;
    if (!exo_pipe_is_fifo(by->pipe))
        drain(by->host[0]);
    else if (foreign->size == 0)
        exo_fifo_take(by->host[0], foreign);
    size += foreign != NULL && foreign->size > 0 ? EXO_PIPE_PAGE : 0;
    HOST_3(__NR_fcntl, by->host[0], F_SETPIPE_SZ_, size);
    if (foreign != NULL && foreign->size > 0)
        HOST_3(__NR_write, by->host[1], foreign->bytes, foreign->size);
}

/* A host that no longer grants the size, for its user has too many pipes, is waited for. */
static void pour_locked(const struct leaving *by)
{
    struct exo_piece piece;
    empty_twin_locked(by);
    while (exo_pipe_piece_locked(KR, by->pipe, 0, &piece)) {
        HOST_3(__NR_fcntl, by->host[1], F_SETFL_, piece.flags & EXO_PAGE_PACKET ? O_DIRECT_ : 0);
        long done = piece.size == 0 ? 0 : HOST_3(__NR_write, by->host[1], piece.bytes, piece.size);
        if (done == -EINTR)
            continue;
        if (done < 0)
            break; /* nobody is left to read it */
        exo_pipe_drop_locked(KR, by->pipe, (uint32_t)done, done == (long)piece.size);
    }
}

static void open_ends(struct leaving *by, int host)
{
    by->host[0] = exo_pipe_open_end(host, O_RDONLY_);
    by->host[1] = exo_pipe_open_end(host, O_WRONLY_);
}

/* Opening the ends of a FIFO is seen by who waits for somebody to open it: it is not done without need. */
static bool has_nothing_locked(const struct leaving *by, int host)
{
    int32_t waiting = 1;
    HOST_3(__NR_ioctl, host, FIONREAD_, &waiting);
    return exo_pipe_is_empty(by->pipe) && by->foreign->size == 0 && waiting == 0;
}

static bool is_ready_locked(struct leaving *by, int host, bool *pours)
{
    *pours = true;
    if (!exo_pipe_is_fifo(by->pipe))
        return true;
    if (has_nothing_locked(by, host)) {
        *pours = false;
        HOST_3(__NR_fcntl, host, F_SETPIPE_SZ_, exo_pipe_slots(by->pipe) * EXO_PIPE_PAGE);
        return true;
    }
    open_ends(by, host);
    return by->host[0] >= 0 && by->host[1] >= 0;
}

static void bring_over(struct leaving *by, int host)
{
    bool pours;
    for (int side = 0; side < 2; side++) /* who has them in a set gives them to the host there */
        if (exo_watched(&by->pipe->watch[side]))
            exo_watch_note(KR, &by->pipe->watch[side], ~0U);
    await_users(by->pipe);
    while (wake_sleepers(by))
        HOST_0(__NR_sched_yield);
    exo_lock_acquire(&by->pipe->lock);
    if (by->pipe->mode == EXO_PIPE_LEAVES && is_ready_locked(by, host, &pours)) {
        if (pours)
            pour_locked(by);
        store_release(&by->pipe->mode, (uint32_t)EXO_PIPE_HOST);
    }
    exo_lock_release(&by->pipe->lock);
}

/* Whether it is for us to bring the pipe over. */
static bool begin(struct exo_pipe *pipe)
{
    exo_lock_acquire(&pipe->lock);
    bool ours = pipe->mode == EXO_PIPE_OWN ||
                (pipe->mode == EXO_PIPE_LEAVES &&
                 (pipe->leaver >= EXO_TASK_COUNT || !exo_alive_test(&KR->tasks[pipe->leaver])));
    if (ours) {
        pipe->leaver = area()->slot;
        store_release(&pipe->mode, (uint32_t)EXO_PIPE_LEAVES);
    }
    exo_lock_release(&pipe->lock);
    return ours;
}

void exo_pipe_await_leaver(struct exo_pipe *pipe, int host)
{
    while (load_acquire(&pipe->mode) == EXO_PIPE_LEAVES) {
        if (!exo_alive_test(&KR->tasks[pipe->leaver % EXO_TASK_COUNT]))
            exo_pipe_leave(exo_pipe_index(KR, pipe), host);
        HOST_0(__NR_sched_yield);
    }
}

/* Only where the host's /proc is not to be seen it cannot be done. */
static void stay(struct exo_pipe *pipe)
{
    exo_lock_acquire(&pipe->lock);
    if (pipe->mode == EXO_PIPE_LEAVES)
        store_release(&pipe->mode, (uint32_t)EXO_PIPE_OWN);
    exo_lock_release(&pipe->lock);
}

static void leave(struct leaving *by, int host)
{
    bool fifo = exo_pipe_is_fifo(by->pipe);
    by->host[0] = by->host[1] = -1;
    if (!fifo)
        open_ends(by, host);
    if (fifo || (by->host[0] >= 0 && by->host[1] >= 0))
        bring_over(by, host);
    stay(by->pipe); /* if it could not be brought over */
    for (int i = 0; i < 2; i++)
        if (by->host[i] >= 0)
            HOST_1(__NR_close, by->host[i]);
}

/* Another one has brought the FIFO over, and this is left. */
static void write_late(int host, const struct exo_foreign *foreign)
{
    int writes = exo_pipe_open_end(host, O_WRONLY_);
    if (writes < 0)
        return;
    HOST_3(__NR_fcntl, writes, F_SETFL_, 0);
    HOST_3(__NR_write, writes, foreign->bytes, foreign->size);
    HOST_1(__NR_close, writes);
}

void exo_pipe_leave_with(uint32_t index, int host, struct exo_foreign *foreign)
{
    struct leaving by = {.pipe = exo_pipe_at(KR, index), .index = index, .foreign = foreign};
    if (begin(by.pipe)) {
        leave(&by, host);
        return;
    }
    exo_pipe_await_leaver(by.pipe, host);
    if (foreign->size > 0)
        write_late(host, foreign);
}

static __attribute__((noinline)) void leave_fifo(uint32_t index, int host)
{
    struct exo_foreign foreign = {.size = 0};
    exo_pipe_leave_with(index, host, &foreign);
    exo_fifo_set_host(KR, exo_pipe_at(KR, index));
}

void exo_pipe_leave(uint32_t index, int host)
{
    struct leaving by = {.pipe = exo_pipe_at(KR, index), .index = index};
    if (exo_pipe_is_fifo(by.pipe))
        leave_fifo(index, host);
    else if (begin(by.pipe))
        leave(&by, host);
    else
        exo_pipe_await_leaver(by.pipe, host);
}

/* Whether the entry is an end of exo's pipe still: its flags have changed meanwhile. */
static bool settle(struct exo_fd *at)
{
    struct exo_fd was = exo_fd_now(at), plain = was;
    if (was.host < 0 || !(was.flags & EXO_FD_PIPE))
        return false;
    struct exo_pipe *pipe = exo_pipe_at(KR, was.stamp);
    if (load_acquire(&pipe->mode) != EXO_PIPE_HOST)
        exo_pipe_leave(was.stamp, was.host);
    if (load_acquire(&pipe->mode) != EXO_PIPE_HOST)
        return false;
    exo_fifo_set_host(KR, pipe);
    plain.flags &= (uint16_t) ~(EXO_FD_PIPE | EXO_FD_PIPE_WRITES);
    plain.stamp = 0;
    exo_watches_to_host(was);
    return !exo_fd_make_plain(at, was, plain);
}

bool exo_pipe_to_host(struct exo_fd *at)
{
    while (settle(at))
        ;
    return !(load_acquire(&at->flags) & EXO_FD_PIPE);
}

void exo_pipe_all_to_host(void)
{
    uint64_t offset = area()->task->fd_table;
    const struct exo_fd_table *table = exo_kr_at(KR, offset);
    for (uint32_t i = 0; i < load_relaxed(&table->used); i++)
        exo_object_to_host(exo_fd_at(KR, offset, (int)i));
}
