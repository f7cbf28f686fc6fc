/* Fusion rings: one message at a time. exo/ring.h has the protocol. */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "mem.h"
#include "ring.h"

_Static_assert(sizeof(struct exo_ring_slot) == EXO_RING_SLOT_SIZE, "a slot is a cache line");
_Static_assert(sizeof(struct exo_ring) == 256, "a line each: constants, head, tail, sleepers");

uint64_t exo_ring_size(uint32_t order)
{
    return sizeof(struct exo_ring) + ((uint64_t)EXO_RING_SLOT_SIZE << order);
}

int exo_ring_init(struct exo_ring *ring, uint32_t order, uint32_t kind, uint32_t flags)
{
    if (order < 1 || order > EXO_RING_ORDER_MAX || kind > EXO_RING_MPMC)
        return -EINVAL;
    memset(ring, 0, sizeof(*ring));
    ring->order = order;
    ring->kind = kind;
    ring->flags = flags;
    for (uint64_t i = 0; i < ring_capacity(ring); i++)
        ring_slot(ring, i)->header = ring_header(i, EXO_RING_FREE, 0);
    store_release(&ring->magic, EXO_RING_MAGIC);
    return 0;
}

static bool is_open(const struct exo_ring *ring)
{
    return __builtin_expect(load_relaxed(&ring->closed) == 0, 1);
}

/* Moves head or tail over what a header speaks for. A lone side's is its own; it lags where one
 * before it died between publishing or releasing and saying so. */
static inline uint64_t pass(uint64_t *place, uint64_t at, uint64_t header, int32_t ahead,
                            bool alone)
{
    uint32_t count = ahead > 0 ? 1 : ring_span(header);
    if (alone)
        store_relaxed(place, at + count);
    else
        ring_advance(place, at, count);
    return at + count;
}

/* The first slot from place on in the state that one side of the ring is looking for, FREE or READY;
 * what is ahead of that is somebody's already, and place may not say so yet. False if there is none:
 * *header is what is in the way. */
static inline __attribute__((always_inline)) bool seek(struct exo_ring *ring, uint64_t *place,
                                                       uint64_t wanted, bool alone,
                                                       uint64_t *position, uint64_t *header)
{
    uint64_t at = load_relaxed(place);
    for (;;) {
        uint64_t now = load_acquire(&ring_slot(ring, at)->header), newer;
        int32_t ahead = ring_ahead(now, at);
        *position = at;
        *header = now;
        if (ahead == 0 && ring_state(now) == wanted)
            return true;
        if (!alone && (newer = load_relaxed(place)) > at)
            at = newer;
        else if (ahead > 0 || (ahead == 0 && ring_state(now) > wanted))
            at = pass(place, at, now, ahead, alone);
        else if (!exo_ring_repair_claim(ring, now))
            return false;
    }
}

/* How many slots from position on are in a state, want at most; the first one is. */
static inline uint32_t count_run(struct exo_ring *ring, uint64_t position, uint64_t state,
                                 uint32_t want)
{
    uint32_t count = 1;
    for (; count < want; count++) {
        uint64_t header = load_acquire(&ring_slot(ring, position + count)->header);
        if (ring_ahead(header, position + count) != 0 || ring_state(header) != state)
            break;
    }
    return count;
}

static uint32_t bound(const struct exo_ring *ring, uint32_t want)
{
    uint64_t room = ring_capacity(ring);
    uint32_t most = room < EXO_RING_BATCH_MAX ? (uint32_t)room : EXO_RING_BATCH_MAX;
    return want < most ? want : most;
}

int exo_ring_claim_many(struct exo_ring *ring, uint32_t owner, uint32_t want, uint64_t *position)
{
    bool alone = ring->kind == EXO_RING_SPSC;
    uint32_t count;
    uint64_t header;
    if (!is_open(ring))
        return -EPIPE;
    want = bound(ring, want);
    do {
        if (!seek(ring, &ring->head, EXO_RING_FREE, alone, position, &header))
            return -EAGAIN;
        count = count_run(ring, *position, EXO_RING_FREE, want);
    } while (!alone && !compare_exchange(&ring_slot(ring, *position)->header, &header,
                                         ring_claim(*position, EXO_RING_CLAIMED, 0, owner, count)));
    if (alone)
        return (int)count;
    ring_advance(&ring->head, *position, count);
    if (is_open(ring))
        return (int)count;
    ring_publish(ring, *position, count, ring_message(0, EXO_RING_LOST, 0)); /* closed before */
    exo_ring_wake_data(ring);
    return -EPIPE;
}

struct exo_ring_slot *exo_ring_claim(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                     int *error)
{
    int count = exo_ring_claim_many(ring, owner, 1, position);
    if (count > 0)
        return ring_slot(ring, *position);
    *error = count;
    return NULL;
}

void exo_ring_publish(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position,
                      uint32_t type, uint32_t flags, uint32_t size)
{
    (void)slot;
    ring_publish(ring, position, 1, ring_message(type, flags, size));
    exo_ring_wake_data(ring);
}

int exo_ring_take_many(struct exo_ring *ring, uint32_t owner, uint32_t want, uint64_t *position,
                       uint64_t *header)
{
    bool alone = ring->kind != EXO_RING_MPMC;
    uint32_t count;
    uint64_t seen;
    want = bound(ring, want);
    do {
        /* Before the look at the slot: nothing is there, and nothing can come any more. */
        bool closed = load_acquire(&ring->closed);
        if (!seek(ring, &ring->tail, EXO_RING_READY, alone, position, header))
            return closed && ring_state(*header) == EXO_RING_FREE ? -EPIPE : -EAGAIN;
        count = count_run(ring, *position, EXO_RING_READY, want);
        seen = *header;
    } while (!alone && !compare_exchange(&ring_slot(ring, *position)->header, &seen,
                                         ring_claim(*position, EXO_RING_TAKEN, ring_flags(*header),
                                                    owner, count)));
    if (!alone)
        ring_advance(&ring->tail, *position, count);
    return (int)count;
}

struct exo_ring_slot *exo_ring_take(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                    uint64_t *header, int *error)
{
    for (;;) {
        int count = exo_ring_take_many(ring, owner, 1, position, header);
        if (count < 0) {
            *error = count;
            return NULL;
        }
        struct exo_ring_slot *slot = ring_slot(ring, *position);
        if (!(ring_flags(*header) & EXO_RING_LOST))
            return slot;
        exo_ring_release(ring, slot, *position);
    }
}

void exo_ring_release(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position)
{
    (void)slot;
    ring_empty_many(ring, position, 1);
    exo_ring_wake_room(ring);
}

int exo_ring_push(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                  uint32_t size)
{
    uint64_t position;
    int error = 0;
    if (size > EXO_RING_PAYLOAD)
        return -EMSGSIZE;
    struct exo_ring_slot *slot = exo_ring_claim(ring, owner, &position, &error);
    if (slot == NULL)
        return error;
    ring_fill(slot, data, size);
    exo_ring_publish(ring, slot, position, type, 0, size);
    return 0;
}

int exo_ring_pop(struct exo_ring *ring, uint32_t owner, struct exo_message *message)
{
    uint64_t position, header;
    int error = 0;
    struct exo_ring_slot *slot = exo_ring_take(ring, owner, &position, &header, &error);
    if (slot == NULL)
        return error;
    ring_read(message, slot, header);
    exo_ring_release(ring, slot, position);
    return 0;
}

void exo_ring_close(struct exo_ring *ring)
{
    store_release(&ring->closed, 1);
    exo_ring_wake_data(ring);
    exo_ring_wake_room(ring);
}

uint64_t exo_ring_count(const struct exo_ring *ring)
{
    uint64_t tail = load_acquire(&ring->tail), head = load_acquire(&ring->head);
    return head > tail ? head - tail : 0;
}
