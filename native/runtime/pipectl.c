/* What ioctl(2) and fcntl(2) do with a pipe: FIONREAD, flags and size. All else is the host's. */
#include "fifo.h"
#include "translate.h"

#define LARGEST (EXO_PIPE_SLOT_COUNT * EXO_PIPE_PAGE)

long exo_pipe_waiting(struct exo_fd *at)
{
    struct exo_end end;
    if (!exo_pipe_enter_any(&end, at))
        return EXO_PIPE_AGAIN;
    exo_lock_release(end.lock);
    exo_lock_acquire(&end.pipe->output);
    bool own = load_acquire(&end.pipe->mode) == EXO_PIPE_OWN;
    long size = (long)exo_pipe_size_locked(KR, end.pipe);
    exo_lock_release(&end.pipe->output);
    return own ? size : EXO_PIPE_AGAIN;
}

static long set_flags(struct exo_fd *at, long flags)
{
    struct exo_end end;
    if ((flags & O_ASYNC_) || !exo_pipe_enter_any(&end, at))
        return EXO_PIPE_AGAIN;
    struct exo_pipe *pipe = end.pipe;
    bool fifo = exo_pipe_is_fifo(pipe);
    if (fifo && (flags & O_DIRECT_)) {
        exo_lock_release(end.lock);
        return EXO_PIPE_AGAIN;
    }
    long error = HOST_3(__NR_fcntl, end.fd.host, F_SETFL_, flags);
    if (error == 0 && fifo) {
        fetch_or(&pipe->nonblock, flags & O_NONBLOCK_ ? EXO_FIFO_ASKS : 0);
    } else if (error == 0) {
        uint32_t mine = 1U << end.side, on = flags & O_NONBLOCK_ ? mine : 0;
        if (end.side == EXO_PIPE_WRITES) {
            mine |= EXO_PIPE_PACKETS;
            on |= flags & O_DIRECT_ ? EXO_PIPE_PACKETS : 0;
        }
        store_relaxed(&pipe->nonblock, (pipe->nonblock & ~mine) | on);
    }
    exo_lock_release(end.lock);
    return error;
}

/* As Linux's round_pipe_size(). */
static uint32_t rounded(uint32_t size)
{
    uint32_t whole = EXO_PIPE_PAGE;
    while (whole < size)
        whole *= 2;
    return whole;
}

/* Whether the host would grant it: a pipe of its own is asked. 0 or -errno. */
static long ask_host(uint32_t size)
{
    int scratch[2];
    if (HOST_2(__NR_pipe2, scratch, O_CLOEXEC_) != 0)
        return 0;
    long result = HOST_3(__NR_fcntl, scratch[0], F_SETPIPE_SZ_, size);
    HOST_1(__NR_close, scratch[0]);
    HOST_1(__NR_close, scratch[1]);
    return result < 0 ? result : 0;
}

/* There is more room: as if somebody had read. */
static void tell_writers(const struct exo_end *end)
{
    struct exo_end reads = *end;
    reads.side = EXO_PIPE_READS;
    if (end->side == EXO_PIPE_WRITES)
        reads.fd.host = exo_pipe_open_end(end->fd.host, O_RDONLY_);
    if (reads.fd.host < 0)
        return;
    exo_pipe_tell(&reads, true);
    if (end->side == EXO_PIPE_WRITES)
        HOST_1(__NR_close, reads.fd.host);
}

static long set_size(struct exo_fd *at, uint32_t wanted)
{
    struct exo_end end;
    if (wanted > LARGEST)
        return EXO_PIPE_AGAIN;
    uint32_t size = rounded(wanted), slots = size / EXO_PIPE_PAGE;
    if (!exo_pipe_enter_any(&end, at))
        return EXO_PIPE_AGAIN;
    struct exo_pipe *pipe = end.pipe;
    exo_lock_release(end.lock);
    long error = slots > exo_pipe_slots(pipe) ? ask_host(size) : 0;
    if (error != 0)
        return error;
    if (slots > EXO_PIPE_PAGE_COUNT && !exo_pipe_give_lane(KR, pipe))
        return EXO_PIPE_AGAIN;
    exo_lock_acquire(&pipe->input);
    bool full = exo_pipe_is_full(pipe), own = load_acquire(&pipe->mode) == EXO_PIPE_OWN;
    uint32_t before = exo_pipe_slots(pipe);
    error = own ? exo_pipe_resize_locked(pipe, slots) : EXO_PIPE_AGAIN;
    if (error == 0 && slots > EXO_PIPE_PAGE_COUNT && slots > before &&
        !exo_pipe_has_room_locked(KR, pipe)) {
        exo_pipe_resize_locked(pipe, before);
        error = EXO_PIPE_AGAIN;
    }
    exo_lock_release(&pipe->input);
    if (error == 0 && full)
        tell_writers(&end);
    return error != 0 ? error : (long)size;
}

long exo_pipe_fcntl(struct exo_fd *at, int command, long argument)
{
    struct exo_end end;
    if (command == F_SETFL_)
        return set_flags(at, argument);
    if (command == F_SETPIPE_SZ_)
        return set_size(at, (uint32_t)argument);
    if (command != F_GETPIPE_SZ_ && command != F_GETFL_)
        return EXO_PIPE_AGAIN;
    if (!exo_pipe_enter_any(&end, at))
        return EXO_PIPE_AGAIN;
    exo_lock_release(end.lock);
    return command == F_GETFL_ ? HOST_2(__NR_fcntl, end.fd.host, command)
                               : (long)exo_pipe_slots(end.pipe) * EXO_PIPE_PAGE;
}
