/* Moving what is in pipes of exo's: to another one, from and to a file or a guest's memory. Pages are
 * copied, once, and stand in slots as Linux has them: what was one buffer is one, and nothing is added to it.
 *
 * Rules: who takes from a pipe is its `taker`, as which he keeps other readers out without its lock, so he
 * can hold another pipe's. He never waits as such, but for a file. Source: splice(2), tee(2), vmsplice(2).
 */
#include "fifo.h"
#include "translate.h"

static bool take(struct exo_end *end, struct exo_fd *at, uint32_t *tail)
{
    if (!exo_pipe_enter(end, at))
        return false;
    store_relaxed(&end->pipe->used[EXO_PIPE_READS], area()->task->leader_slot);
    end->pipe->taker = area()->slot;
    *tail = end->pipe->tail;
    exo_lock_release(end->lock);
    return true;
}

/* Back; tail: where it stood. */
static void give_back(const struct exo_end *end, uint32_t tail)
{
    struct exo_pipe *pipe = end->pipe;
    exo_lock_acquire(&pipe->output);
    pipe->taker = 0;
    bool moved = pipe->tail != tail;
    exo_lock_release(&pipe->output);
    if (moved)
        exo_pipe_tell(end, load_acquire(&pipe->head) - tail >= exo_pipe_slots(pipe));
}

/* The end to write to, locked. -EPIPE: nobody reads, and it is not. */
static long enter_to_write(struct exo_end *end, struct exo_fd *at)
{
    if (!exo_pipe_enter(end, at))
        return EXO_PIPE_AGAIN;
    store_relaxed(&end->pipe->used[EXO_PIPE_WRITES], area()->task->leader_slot);
    if (likely(!exo_pipe_is_widowed(end)))
        return 0;
    exo_lock_release(end->lock);
    return -EPIPE;
}

static void end_of_writing(const struct exo_end *end, long done)
{
    if (done <= 0)
        return;
    exo_pipe_tell(end, true);
    if (exo_watched(&end->pipe->watch[EXO_PIPE_WRITES]) && exo_pipe_is_full(end->pipe))
        exo_pipe_prepare(end);
}

/* SIGPIPE, if nothing was done before. */
static long broken(struct exo_fd *at, long done)
{
    struct exo_end end = {.at = at, .fd = exo_fd_now(at)};
    long error = exo_pipe_hang_up(&end);
    return done > 0 ? done : error != 0 ? error : EXO_PIPE_AGAIN;
}

/* One slot's bytes from memory of any kind: bytes, 0 for no room, or an error. */
static long put_one(struct exo_fd *to, uint64_t from, uint32_t size, uint16_t flags)
{
    const uint64_t vector[1][2] = {{from, size}};
    struct exo_span span = {.vector = vector, .left = size};
    struct exo_end end;
    long error = enter_to_write(&end, to);
    if (error != 0)
        return error;
    long done = exo_pipe_put_locked(KR, end.pipe, &span, size, flags);
    exo_lock_release(end.lock);
    end_of_writing(&end, done);
    return done;
}

/* What is there and fits. */
static long move(const struct exo_end *from, struct exo_fd *to, uint64_t size, bool tees)
{
    struct exo_piece piece;
    long sum = 0;
    for (uint32_t ahead = 0; size > 0; ahead += tees) {
        if (!exo_pipe_piece_locked(KR, from->pipe, ahead, &piece))
            return sum;
        uint32_t part = size < piece.size ? (uint32_t)size : piece.size;
        uint16_t keeps =
            tees || part < piece.size ? EXO_PAGE_PACKET : EXO_PAGE_PACKET | EXO_PAGE_GROWS;
        long done = part == 0 ? 0 : put_one(to, (uint64_t)piece.bytes, part, piece.flags & keeps);
        if (done < 0 || (done == 0 && part != 0))
            return sum > 0 && done != -EPIPE ? sum : done < 0 ? done : sum;
        if (!tees)
            exo_pipe_drop_locked(KR, from->pipe, part, part == piece.size);
        sum += done;
        size -= part;
    }
    return sum;
}

static bool is_nonblocking(struct exo_fd *at)
{
    struct exo_fd fd = exo_fd_now(at);
    const struct exo_pipe *pipe = exo_pipe_at(KR, fd.stamp);
    if (exo_pipe_is_fifo(pipe))
        return exo_fifo_is_nonblocking(pipe, fd.host);
    return load_relaxed(&pipe->nonblock) & (fd.flags & EXO_FD_PIPE_WRITES ? 2 : 1);
}

long exo_pipe_splice(struct exo_fd *from, struct exo_fd *to, uint64_t size, long flags, bool tees)
{
    bool nonblock = (flags & EXO_SPLICE_NONBLOCK) || is_nonblocking(from) || is_nonblocking(to);
    for (;;) {
        struct exo_end in;
        uint32_t tail;
        long error = exo_pipe_await(from, nonblock);
        if (error != 0 && error != 1)
            return error;
        const struct exo_pipe *pipe = exo_pipe_at(KR, from->stamp);
        bool over =
            error == 1 || (exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0 && !exo_pipe_is_fifo(pipe));
        error = exo_pipe_await(to, nonblock);
        if (error != 0 && error != 1)
            return error;
        if (!take(&in, from, &tail))
            return EXO_PIPE_AGAIN;
        long done = move(&in, to, size, tees);
        give_back(&in, tail);
        if (done == -EPIPE)
            return broken(to, in.pipe->tail != tail ? 1 : 0);
        if (done != 0 || over)
            return done;
        if (nonblock)
            return -EAGAIN;
    }
}

/* One slot of a file's bytes, no further than its page goes, as the host's page cache has them. */
static long read_one(struct exo_fd *to, const struct exo_splice_file *file, int64_t at,
                     uint64_t size)
{
    uint64_t rest = EXO_PIPE_PAGE - (uint64_t)at % EXO_PIPE_PAGE;
    struct exo_pipe_page page = {.end = (uint16_t)(size < rest ? size : rest)};
    struct exo_end end;
    long error = enter_to_write(&end, to), got = 0;
    if (error != 0)
        return error;
    uint8_t *room = exo_pipe_room_locked(KR, end.pipe, &page);
    if (room != NULL)
        got = file->offset == NULL ? HOST_3(__NR_read, file->host, room, page.end)
                                   : HOST_4(__NR_pread64, file->host, room, page.end, at);
    if (got > 0) {
        page.end = (uint16_t)got;
        exo_pipe_count_locked(KR, end.pipe, &page);
    }
    exo_lock_release(end.lock);
    end_of_writing(&end, got);
    return got;
}

long exo_pipe_from_file(struct exo_fd *to, struct exo_splice_file *file, uint64_t size, long flags)
{
    long sum = 0, done = exo_pipe_await(to, (flags & EXO_SPLICE_NONBLOCK) || is_nonblocking(to));
    if (done != 0 && done != 1)
        return done;
    int64_t at =
        file->offset != NULL ? *file->offset : HOST_3(__NR_lseek, file->host, 0, 1 /* SEEK_CUR */);
    while (size > 0 && (done = read_one(to, file, at, size)) > 0) {
        sum += done;
        at += done;
        size -= (uint64_t)done;
    }
    if (file->offset != NULL)
        *file->offset = at;
    return sum > 0 ? sum : done == -EPIPE ? broken(to, 0) : done;
}

long exo_pipe_to_file(struct exo_fd *from, struct exo_splice_file *file, uint64_t size, long flags)
{
    struct exo_end in;
    struct exo_piece piece;
    uint32_t tail;
    long sum = 0,
         done = exo_pipe_await(from, (flags & EXO_SPLICE_NONBLOCK) || is_nonblocking(from));
    if (done != 0)
        return done == 1 ? 0 : done;
    if (!take(&in, from, &tail))
        return EXO_PIPE_AGAIN;
    while (size > 0 && exo_pipe_piece_locked(KR, in.pipe, 0, &piece)) {
        uint64_t part = size < piece.size ? size : piece.size;
        done = file->offset == NULL
                   ? HOST_3(__NR_write, file->host, piece.bytes, part)
                   : HOST_4(__NR_pwrite64, file->host, piece.bytes, part, *file->offset);
        if (done < 0 || (done == 0 && part != 0))
            break;
        exo_pipe_drop_locked(KR, in.pipe, (uint32_t)done, (uint32_t)done == piece.size);
        if (file->offset != NULL)
            *file->offset += done;
        sum += done;
        size -= (uint64_t)done;
    }
    give_back(&in, tail);
    return sum > 0 || done >= 0 ? sum : done;
}

/* Of each piece of memory a slot for each page of it. */
long exo_pipe_from_memory(struct exo_fd *to, const uint64_t (*vector)[2], uint64_t count,
                          long flags)
{
    long sum = 0, done = exo_pipe_await(to, flags & EXO_SPLICE_NONBLOCK);
    if (done != 0 && done != 1)
        return done;
    done = 1;
    for (uint64_t i = 0; i < count && done > 0; i++) {
        uint64_t at = vector[i][0], end = at + vector[i][1];
        while (at < end) {
            uint64_t rest = EXO_PIPE_PAGE - at % EXO_PIPE_PAGE;
            done = put_one(to, at, (uint32_t)(end - at < rest ? end - at : rest), 0);
            if (done <= 0)
                break;
            sum += done;
            at += (uint64_t)done;
        }
    }
    return sum > 0 ? sum : done == -EPIPE ? broken(to, 0) : done == 0 ? -EAGAIN : done;
}

long exo_pipe_to_memory(struct exo_fd *from, struct exo_span *span, long flags)
{
    struct exo_end in;
    struct exo_piece piece;
    uint32_t tail;
    long sum = 0, error = exo_pipe_await(from, flags & EXO_SPLICE_NONBLOCK);
    if (error != 0)
        return error == 1 ? 0 : error;
    if (!take(&in, from, &tail))
        return EXO_PIPE_AGAIN;
    while (span->left > 0 && exo_pipe_piece_locked(KR, in.pipe, 0, &piece)) {
        uint32_t part = span->left < piece.size ? (uint32_t)span->left : piece.size;
        error = exo_span_copy((uint8_t *)piece.bytes, span, part, false);
        if (error != 0)
            break;
        exo_pipe_drop_locked(KR, in.pipe, part, part == piece.size);
        sum += part;
    }
    give_back(&in, tail);
    return sum > 0 ? sum : error;
}
