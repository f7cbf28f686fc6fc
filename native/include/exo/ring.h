/* Fusion rings: queues of 64-byte slots in shared memory, for one or many producers and consumers.
 *
 * Each slot's header word says for which position it is, and in what state; there is no other truth.
 * A slot is claimed by compare-exchange of that word, with the claimer's number in it, so whoever
 * finds a claim of a dead owner can undo it: no kill at any instruction wedges a ring. A claim may be
 * for several slots, of which the first is published or released last: it is the only way to them.
 * head and tail only say where to look first. After D. Vyukov's bounded MPMC queue, which numbers slots in the
 * same way but cannot lose a thread between its two steps.
 *
 * The same algorithm in Python is exo_um/ipc/ring_jit.py, on the same memory.
 */
#ifndef EXO_RING_H
#define EXO_RING_H

#include <stdbool.h>
#include <stdint.h>

#define EXO_RING_MAGIC 0x31474e49524f5845 /* "EXORING1" */
#define EXO_RING_SLOT_SIZE 64
#define EXO_RING_PAYLOAD 56
#define EXO_RING_ORDER 12 /* 4096 slots, where nothing else is asked for */
#define EXO_RING_ORDER_MAX 20
#define EXO_RING_BATCH_MAX 64 /* slots under one claim; the header has room for 256 */

/* Who may push and pop at the same time. */
#define EXO_RING_SPSC 0
#define EXO_RING_MPSC 1
#define EXO_RING_MPMC 2

/* Flags of a ring. */
#define EXO_RING_NEVER_SLEEPS 1 /* both sides spin: a push need not look for sleepers */

/* A slot's header, from the highest bit: position (32), state (2), flags of the message (6), type
 * (8), size (16). While a slot is claimed or taken its owner stands in the size's place. */
#define EXO_RING_POSITION_SHIFT 32
#define EXO_RING_STATE_SHIFT 30
#define EXO_RING_FLAGS_SHIFT 24
#define EXO_RING_TYPE_SHIFT 16
#define EXO_RING_FREE 0    /* to be filled for this position */
#define EXO_RING_CLAIMED 1 /* a producer is filling it */
#define EXO_RING_READY 2
#define EXO_RING_TAKEN 3 /* a consumer is emptying it */

/* Flags of a message. */
#define EXO_RING_BLOCK 1 /* the payload begins with a struct exo_block_ref (pool.h) */
#define EXO_RING_LOST 2  /* its producer died over it: consumers skip it */

/* Who can be found dead: numbers 1 to count - 1 have a word each (struct exo_lock's), which the host
 * marks at their death. 0 is nobody in particular, whose death nobody notices. */
struct exo_owners {
    int64_t away;    /* bytes from this struct to number 0's word */
    uint64_t stride; /* bytes */
    uint64_t count;
};

struct exo_ring_slot {
    uint64_t header;
    uint64_t payload[7];
};

/* Where one side sleeps. */
struct exo_ring_bell {
    uint32_t word;   /* futex: how often it was rung */
    uint32_t wanted; /* somebody sleeps, or is about to */
};

/* A ring in shared memory; the slots follow. Aligned to 64 bytes. P: producers, C: consumers. */
struct exo_ring {
    uint64_t magic;
    uint32_t order; /* log2 of the slots */
    uint32_t kind;  /* EXO_RING_SPSC, ... */
    uint32_t flags;
    uint32_t reserved;
    struct exo_owners owners;
    uint64_t reserved_0[2];

    uint64_t head; /* P: the next position to be claimed, or a bit before it */
    uint64_t reserved_1[7];

    uint64_t tail; /* C: the next position to be taken, or a bit before it */
    uint64_t reserved_2[7];

    struct exo_ring_bell data, room; /* rung by P for C, by C for P */
    uint32_t closed;                 /* no more pushes; what is in it can be popped */
    uint32_t reserved_3[11];
};

/* What pop gives. */
struct exo_message {
    uint8_t type, flags;
    uint16_t size;
    uint32_t reserved;
    uint8_t payload[EXO_RING_PAYLOAD];
};

/* How to wait: so many tries with a pause between them, then so many with sched_yield(2), then in
 * futex(2). timeout_ns: of all that, UINT64_MAX for ever. */
struct exo_wait_policy {
    uint32_t spins, yields;
    uint32_t sleeps; /* 0: goes on with sched_yield */
    uint32_t peer;   /* owner whose death ends the wait with -EPIPE, 0: nobody's */
    uint64_t timeout_ns;
    uint32_t generation; /* of the peer in its roster: another's being alive is not its; 0: any */
    uint32_t reserved;
};

/* ring.c. Errors: -EAGAIN no room or nothing there, -EPIPE closed, -EMSGSIZE. */
uint64_t exo_ring_size(uint32_t order); /* bytes */
/* -EINVAL: order, kind. ring is zeroed by this. */
int exo_ring_init(struct exo_ring *ring, uint32_t order, uint32_t kind, uint32_t flags);
void exo_owners_set(struct exo_owners *owners, const uint32_t *first, uint64_t stride,
                    uint64_t count);
bool exo_owner_is_dead(const struct exo_owners *owners, uint32_t owner);
int exo_ring_push(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                  uint32_t size);
int exo_ring_pop(struct exo_ring *ring, uint32_t owner, struct exo_message *message);
void exo_ring_close(struct exo_ring *ring);
uint64_t exo_ring_count(const struct exo_ring *ring); /* messages in it, about */

/* Without copies: the slot to be filled, or to be read; NULL with *error set. */
struct exo_ring_slot *exo_ring_claim(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                     int *error);
void exo_ring_publish(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position,
                      uint32_t type, uint32_t flags, uint32_t size);
/* header: as it was when the slot was ready. */
struct exo_ring_slot *exo_ring_take(struct exo_ring *ring, uint32_t owner, uint64_t *position,
                                    uint64_t *header, int *error);
void exo_ring_release(struct exo_ring *ring, struct exo_ring_slot *slot, uint64_t position);

/* ringbatch.c: up to count messages of one size, one after the other in data, behind one fence; how
 * many, or an error for none. */
long exo_ring_push_many(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                        uint32_t size, uint32_t count);
long exo_ring_pop_many(struct exo_ring *ring, uint32_t owner, struct exo_message *messages,
                       uint32_t count);

/* ringrepair.c: undoes the claims of owners that are dead; how many. Whoever meets one does it, too. */
uint32_t exo_ring_repair(struct exo_ring *ring);
/* And those of an owner that is gone whatever its word says, 0 nobody. */
uint32_t exo_ring_repair_of(struct exo_ring *ring, uint32_t gone);
bool exo_ring_repair_claim(struct exo_ring *ring, uint64_t header); /* if its owner is dead */

/* ringwait.c: push and pop that wait. -ETIMEDOUT; -EINTR: a signal; -EPIPE also: the peer died. */
int exo_ring_push_wait(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                       uint32_t size, const struct exo_wait_policy *policy);
int exo_ring_pop_wait(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                      const struct exo_wait_policy *policy);
/* Until a push, a pop is worth a try; 0 or an error as above. */
int exo_ring_wait_room(struct exo_ring *ring, const struct exo_wait_policy *policy);
int exo_ring_wait_data(struct exo_ring *ring, const struct exo_wait_policy *policy);
/* ringbell.c: for whoever has published or released: wakes a sleeper, if there is one. */
void exo_ring_wake_data(struct exo_ring *ring);
void exo_ring_wake_room(struct exo_ring *ring);

#endif
