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
#define EXO_PIPE_PACKETS 4U /* in nonblock */

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
    uint64_t ends = __atomic_load_n(&pipe->ends, __ATOMIC_ACQUIRE);
    return (uint32_t)(ends >> side * EXO_ENDS_BITS) & EXO_ENDS_MASK;
}

static inline uint32_t exo_pipe_slots(const struct exo_pipe *pipe)
{
    uint32_t slots = __atomic_load_n(&pipe->slots, __ATOMIC_RELAXED);
    return slots - 1 < EXO_PIPE_SLOT_COUNT ? slots : EXO_PIPE_PAGE_COUNT;
}

static inline struct exo_lock *exo_pipe_lock(struct exo_pipe *pipe, int side)
{
    return side == EXO_PIPE_WRITES ? &pipe->input : &pipe->output;
}

/* For who holds no lock: at some moment of late. */
static inline bool exo_pipe_is_empty(const struct exo_pipe *pipe)
{
    uint32_t tail = __atomic_load_n(&pipe->tail, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&pipe->head, __ATOMIC_ACQUIRE) == tail;
}

/* The same; what is read meanwhile may still seem to be there. */
static inline bool exo_pipe_is_full(const struct exo_pipe *pipe)
{
    uint32_t tail = __atomic_load_n(&pipe->tail, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&pipe->head, __ATOMIC_ACQUIRE) - tail >= exo_pipe_slots(pipe);
}

/* pipe.c. Writers hold the pipe's input lock, readers its output lock. They move span on: bytes moved;
 * -EFAULT for a bad address if there were none. What does not fit stays; at most EXO_PIPE_PAGE bytes go in
 * together or not at all. flags: EXO_PAGE_GROWS, or EXO_PAGE_PACKET. */
long exo_pipe_push_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span,
                          uint16_t flags);
long exo_pipe_pull_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span);
/* What goes into one slot, by itself: at most a page; 0: there is none free. */
long exo_pipe_put_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span,
                         uint32_t size, uint16_t flags);
/* The same in two steps: where page->end bytes may be put; NULL: there is no slot free. And then, with
 * what has been put there as page->end, it is in the pipe. */
uint8_t *exo_pipe_room_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_pipe_page *page);
void exo_pipe_count_locked(struct exo_kr *kr, struct exo_pipe *pipe,
                           const struct exo_pipe_page *page);
/* Bytes of one slot, `ahead` slots behind the oldest; NULL: there are no more. */
struct exo_piece {
    const uint8_t *bytes;
    uint32_t size;
    uint16_t flags;
};
bool exo_pipe_piece_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t ahead,
                           struct exo_piece *piece);
/* Takes so many of the oldest slot's bytes; all: those are all that exo_pipe_piece_locked() told of. */
void exo_pipe_drop_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t size, bool all);
/* Bytes in it; readers are kept out. */
uint64_t exo_pipe_size_locked(struct exo_kr *kr, const struct exo_pipe *pipe);
/* 0 or -EBUSY: there is more in it; input is held. Of more slots than EXO_PIPE_PAGE_COUNT it has a lane. */
long exo_pipe_resize_locked(struct exo_pipe *pipe, uint32_t slots);
/* lane.c. Gives it a lane if there is one; no lock is held. */
bool exo_pipe_give_lane(struct exo_kr *kr, struct exo_pipe *pipe);
/* Whether its lane has pages for all its slots, though some are lent; once this was so it stays so. */
bool exo_pipe_has_room_locked(struct exo_kr *kr, const struct exo_pipe *pipe);
/* Whether there are fewer than size bytes, about: no lock is held. */
bool exo_pipe_holds_little(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t size);
/* Whether what would be read next may be noted in a struct exo_seen. */
bool exo_pipe_may_see_locked(struct exo_kr *kr, const struct exo_pipe *pipe);

/* A new pipe with an entry for each end to come; 0: no room. Held until its entries are there. */
static inline uint32_t exo_pipe_create(struct exo_kr *kr)
{
    return exo_object_create(kr, EXO_KIND_PIPE, EXO_PIPE_OWN, (1ULL << EXO_ENDS_BITS) + 1);
}

#endif
