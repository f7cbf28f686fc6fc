/* What can be waited for: by what kind of entry it is known, where its watchers are, and its state. */
#include "atomic.h"
#include "pipe.h"
#include "watch.h"

static uint32_t kind_of(uint16_t flags)
{
    if (flags & EXO_FD_PIPE)
        return flags & EXO_FD_PIPE_WRITES ? EXO_OBJECT_PIPE_WRITES : EXO_OBJECT_PIPE_READS;
    return 0;
}

uint32_t exo_object_of(struct exo_fd fd)
{
    uint32_t kind = fd.host < 0 ? 0 : kind_of(fd.flags);
    return kind == 0 ? 0 : kind << 16 | fd.stamp;
}

uint32_t *exo_object_watch(struct exo_kr *kr, uint32_t object)
{
    switch (object >> 16) {
    case EXO_OBJECT_PIPE_READS:
        return &exo_pipe_at(kr, object & 0xffff)->watch[EXO_PIPE_READS];
    case EXO_OBJECT_PIPE_WRITES:
        return &exo_pipe_at(kr, object & 0xffff)->watch[EXO_PIPE_WRITES];
    default:
        return NULL;
    }
}

/* As Linux's pipe_poll() has it. */
static uint32_t pipe_state(const struct exo_pipe *pipe, int side)
{
    uint32_t head = load_acquire(&pipe->head), tail = load_acquire(&pipe->tail);
    if (load_acquire(&pipe->mode) != EXO_PIPE_OWN)
        return EXO_STATE_HOST;
    if (side == EXO_PIPE_WRITES)
        return (head - tail < EXO_PIPE_SLOT_COUNT ? EXO_POLL_OUTS : 0) |
               (exo_pipe_users(pipe, EXO_PIPE_READS) == 0 ? EXO_POLLERR : 0);
    return (head != tail ? EXO_POLL_INS : 0) |
           (exo_pipe_users(pipe, EXO_PIPE_WRITES) == 0 ? EXO_POLLHUP : 0);
}

uint32_t exo_object_state(struct exo_kr *kr, uint32_t object)
{
    const struct exo_pipe *pipe = exo_pipe_at(kr, object & 0xffff);
    switch (object >> 16) {
    case EXO_OBJECT_PIPE_READS:
        return pipe_state(pipe, EXO_PIPE_READS);
    case EXO_OBJECT_PIPE_WRITES:
        return pipe_state(pipe, EXO_PIPE_WRITES);
    default:
        return 0;
    }
}
