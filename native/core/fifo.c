/* FIFOs that guests have made: a row by inode, device and time of making, with the pipe of the region that has
 * what is in it while guests have it open.
 *
 * Rules: rows change under fifo_lock, which is held with no other. A pipe belongs to a row if both say so, and
 * somebody has it: so nothing has to be done when its last user goes or is killed, and the next one who opens
 * the FIFO gets a new pipe. A row whose pipe somebody has is not given to another FIFO.
 */
#include "fifo.h"
#include "atomic.h"
#include "mem.h"

static struct exo_fd share_of(uint32_t pipe, int side)
{
    uint16_t writes = side == EXO_PIPE_WRITES ? EXO_FD_PIPE_WRITES : 0;
    return (struct exo_fd){.flags = EXO_FD_PIPE | writes, .stamp = (uint16_t)pipe};
}

static uint64_t side_share(int side)
{
    return side == EXO_PIPE_WRITES ? 1ULL << EXO_ENDS_BITS : 1;
}

static bool is_of(const struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t row)
{
    return load_acquire(&pipe->fifo) == row + 1 && load_acquire(&pipe->mode) != EXO_PIPE_FREE &&
           pipe < kr->pipes + EXO_PIPE_COUNT;
}

/* The row's pipe, if anybody has it; 0: none. */
static uint32_t pipe_of(struct exo_kr *kr, uint32_t row)
{
    uint32_t number = load_acquire(&kr->fifos[row].pipe);
    const struct exo_pipe *pipe = exo_pipe_at(kr, number);
    bool used = number != 0 && load_acquire(&pipe->ends) % EXO_ENDS_CHANGE != 0;
    return used && is_of(kr, pipe, row) ? number : 0;
}

static bool is_key(const struct exo_fifo *fifo, const uint64_t key[3])
{
    return memcmp(fifo->key, key, sizeof(fifo->key)) == 0;
}

static uint32_t row_count(const struct exo_kr *kr)
{
    uint32_t count = load_acquire(&kr->fifo_high);
    return count < EXO_FIFO_COUNT ? count : EXO_FIFO_COUNT;
}

static uint32_t find_locked(const struct exo_kr *kr, const uint64_t key[3])
{
    for (uint32_t row = 0; row < row_count(kr); row++)
        if (is_key(&kr->fifos[row], key))
            return row;
    return EXO_FIFO_NONE;
}

/* A row for another one: the oldest that nobody has open; EXO_FIFO_NONE: all are open. */
static uint32_t take_locked(struct exo_kr *kr)
{
    if (row_count(kr) < EXO_FIFO_COUNT)
        return row_count(kr);
    for (uint32_t i = 0; i < EXO_FIFO_COUNT; i++) {
        uint32_t row = (kr->fifo_next + i) % EXO_FIFO_COUNT;
        if (pipe_of(kr, row) != 0)
            continue;
        kr->fifo_next = row + 1;
        return row;
    }
    return EXO_FIFO_NONE;
}

void exo_fifo_note(struct exo_kr *kr, const uint64_t key[3], uint32_t name)
{
    exo_lock_acquire(&kr->fifo_lock);
    uint32_t row = find_locked(kr, key);
    bool known = row != EXO_FIFO_NONE;
    row = known ? row : take_locked(kr);
    if (row != EXO_FIFO_NONE) {
        struct exo_fifo *fifo = &kr->fifos[row];
        if (!known)
            *fifo = (struct exo_fifo){0};
        store_relaxed(&fifo->name, name);
        store_relaxed(&fifo->at_host, 0); /* the same inode, but another FIFO */
        memcpy(fifo->key, key, sizeof(fifo->key));
        if (row >= row_count(kr))
            store_release(&kr->fifo_high, row + 1);
    }
    exo_lock_release(&kr->fifo_lock);
}

uint32_t exo_fifo_find(struct exo_kr *kr, const uint64_t key[3])
{
    exo_lock_acquire(&kr->fifo_lock);
    uint32_t row = find_locked(kr, key);
    exo_lock_release(&kr->fifo_lock);
    return row;
}

uint32_t exo_fifo_named(const struct exo_kr *kr, uint32_t name)
{
    for (uint32_t row = 0; row < row_count(kr); row++)
        if (load_relaxed(&kr->fifos[row].name) == name)
            return row;
    return EXO_FIFO_NONE;
}

/* One more user of the pipe, if it is the row's and there: it cannot go then. */
static bool join_pipe(struct exo_kr *kr, uint32_t number, uint32_t row, int side)
{
    struct exo_pipe *pipe = exo_pipe_at(kr, number);
    uint64_t was = load_acquire(&pipe->ends), share = side_share(side);
    exo_object_hold(kr, number);
    do {
        if (was % EXO_ENDS_CHANGE == 0 || (was & share * EXO_ENDS_MASK) == share * EXO_ENDS_MASK)
            return false;
    } while (!compare_exchange(&pipe->ends, &was, was + EXO_ENDS_CHANGE + share));
    if (is_of(kr, pipe, row))
        return true;
    exo_object_unref(kr, share_of(number, side));
    return false;
}

/* What the row says at this moment: false, it is another FIFO's or the host's. */
static bool look_up(struct exo_kr *kr, uint32_t row, const uint64_t key[3], uint32_t *pipe)
{
    const struct exo_fifo *fifo = &kr->fifos[row % EXO_FIFO_COUNT];
    exo_lock_acquire(&kr->fifo_lock);
    bool own = is_key(fifo, key) && !load_relaxed(&fifo->at_host);
    *pipe = fifo->pipe;
    exo_lock_release(&kr->fifo_lock);
    return own;
}

/* A new pipe is the row's, unless somebody else was faster. */
static bool publish(struct exo_kr *kr, uint32_t row, const uint64_t key[3], uint32_t before,
                    uint32_t pipe)
{
    struct exo_fifo *fifo = &kr->fifos[row % EXO_FIFO_COUNT];
    exo_lock_acquire(&kr->fifo_lock);
    bool ours = is_key(fifo, key) && !load_relaxed(&fifo->at_host) && fifo->pipe == before &&
                (before == pipe || pipe_of(kr, row) == 0);
    if (ours)
        store_release(&fifo->pipe, pipe);
    exo_lock_release(&kr->fifo_lock);
    return ours;
}

uint32_t exo_fifo_join(struct exo_kr *kr, uint32_t row, const uint64_t key[3], int side)
{
    uint32_t before, pipe;
    while (look_up(kr, row, key, &before)) {
        if (before != 0 && join_pipe(kr, before, row, side)) {
            if (load_acquire(&exo_pipe_at(kr, before)->mode) == EXO_PIPE_OWN)
                return before;
            exo_fifo_give_up(kr, row, key); /* it has left, as the last one did, or is about to */
            exo_fifo_part(kr, before, side);
            break;
        }
        exo_object_hold(kr, 0);
        pipe = exo_object_create(kr, EXO_KIND_PIPE, EXO_PIPE_OWN, side_share(side));
        if (pipe == 0)
            break;
        store_release(&exo_pipe_at(kr, pipe)->fifo, row + 1);
        if (publish(kr, row, key, before, pipe))
            return pipe;
        exo_fifo_part(kr, pipe, side);
    }
    exo_object_hold(kr, 0);
    return 0;
}

void exo_fifo_part(struct exo_kr *kr, uint32_t pipe, int side)
{
    exo_object_unref(kr, share_of(pipe, side));
    exo_object_hold(kr, 0);
}

void exo_fifo_set_host(struct exo_kr *kr, const struct exo_pipe *pipe)
{
    uint32_t row = load_relaxed(&pipe->fifo) - 1;
    if (row < EXO_FIFO_COUNT && load_acquire(&pipe->mode) == EXO_PIPE_HOST)
        store_release(&kr->fifos[row].at_host, 1);
}

uint32_t exo_fifo_give_up(struct exo_kr *kr, uint32_t row, const uint64_t key[3])
{
    struct exo_fifo *fifo = &kr->fifos[row % EXO_FIFO_COUNT];
    exo_lock_acquire(&kr->fifo_lock);
    bool same = is_key(fifo, key);
    uint32_t pipe = same ? pipe_of(kr, row) : 0;
    if (same)
        store_release(&fifo->at_host, 1);
    exo_lock_release(&kr->fifo_lock);
    return pipe;
}
