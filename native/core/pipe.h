/* Pipes in the kernel region: their contents (pipe.c); who has their ends: objects.h. */
#ifndef EXO_CORE_PIPE_H
#define EXO_CORE_PIPE_H

#include "objects.h"
#include "span.h"

enum {
    EXO_PIPE_READS = 0,
    EXO_PIPE_WRITES = 1
}; /* ends; index of sleeping, woken, patience, used */

#define EXO_PIPE_PAGE 4096

static inline struct exo_pipe *exo_pipe_at(struct exo_kr *kr, uint32_t index)
{
    return &kr->pipes[index % EXO_PIPE_COUNT];
}

static inline uint32_t exo_pipe_index(const struct exo_kr *kr, const struct exo_pipe *pipe)
{
    return (uint32_t)(pipe - kr->pipes);
}

/* How many entries of fd tables lead to that end, at least. */
static inline uint32_t exo_pipe_users(const struct exo_pipe *pipe, int side)
{
    uint64_t ends = __atomic_load_n(&pipe->ends, __ATOMIC_RELAXED);
    return (uint32_t)(ends >> side * EXO_ENDS_BITS) & EXO_ENDS_MASK;
}

static inline bool exo_pipe_is_empty(const struct exo_pipe *pipe)
{
    return pipe->head == pipe->tail;
}

static inline bool exo_pipe_is_full(const struct exo_pipe *pipe)
{
    return pipe->head - pipe->tail >= EXO_PIPE_SLOT_COUNT;
}

/* pipe.c, all under the pipe's lock. They move span on: bytes moved; -EFAULT for a bad address if there
 * were none. What does not fit stays; at most EXO_PIPE_PAGE bytes go in together or not at all. */
long exo_pipe_push_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span);
long exo_pipe_pull_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span);
uint64_t exo_pipe_size(const struct exo_pipe *pipe); /* bytes in it */
/* The oldest page's bytes, *size of them, to be taken by exo_pipe_drop_locked(); NULL if empty. */
const uint8_t *exo_pipe_first_locked(struct exo_kr *kr, const struct exo_pipe *pipe,
                                     uint32_t *size);
void exo_pipe_drop_locked(struct exo_pipe *pipe, uint32_t size);

/* A new pipe with an entry for each end to come; 0: no room. Held until its entries are there. */
static inline uint32_t exo_pipe_create(struct exo_kr *kr)
{
    return exo_object_create(kr, EXO_KIND_PIPE, EXO_PIPE_OWN, (1ULL << EXO_ENDS_BITS) + 1);
}

#endif
