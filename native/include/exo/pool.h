/* Blocks for messages that are larger than a slot: shared, reference-counted, never copied.
 *
 * A pool has count blocks of one size. Each has an entry that names who holds it, so that the blocks
 * of a dead owner come back whatever it was doing. A message carries a block by a struct
 * exo_block_ref at the head of its payload (EXO_RING_BLOCK).
 */
#ifndef EXO_POOL_H
#define EXO_POOL_H

#include <exo/ring.h>

#define EXO_POOL_MAGIC 0x314c4f4f504f5845 /* "EXOPOOL1" */
#define EXO_POOL_SHARERS 4

/* An entry's state word, from the highest bit: low half of the position it was sent at (32), state
 * (16), owner (16): who holds it or has sent it. */
#define EXO_BLOCK_FREE 0
#define EXO_BLOCK_HELD 1
#define EXO_BLOCK_SENT 2 /* in the ring at ring_away, at the position */

struct exo_block {
    uint64_t word;
    uint16_t sharers[EXO_POOL_SHARERS]; /* further holders, 0: nobody */
    int64_t ring_away;                  /* EXO_BLOCK_SENT: from the pool to the ring */
    uint64_t reserved;
};

/* Entries follow, then the blocks, each aligned to 4096. Aligned to 4096 itself. */
struct exo_pool {
    uint64_t magic;
    uint64_t block_size; /* bytes, a multiple of 4096 */
    uint64_t count;
    uint64_t blocks_at; /* bytes from the pool */
    struct exo_owners owners;
    uint64_t reserved;

    uint64_t next;   /* where to look for a free block */
    uint64_t copied; /* bytes that went through memcpy on their way: exo_block_write(), _read() */
    uint64_t reserved_1[6];
};

/* What stands in a payload; the rest of it, 32 bytes, is the sender's. */
struct exo_block_ref {
    int64_t pool_away; /* bytes from the ring to the pool */
    uint64_t size;     /* of the message in the block */
    uint32_t index, reserved;
};
#define EXO_BLOCK_REF_SIZE 24

/* pool.c. Errors: -EAGAIN no block is free, -EMSGSIZE, -EMLINK too many sharers, -EBADF a reference
 * that makes no sense. */
uint64_t exo_pool_size(uint64_t block_size, uint64_t count); /* bytes */
int exo_pool_init(struct exo_pool *pool, uint64_t block_size, uint64_t count);
long exo_block_create(struct exo_pool *pool, uint32_t owner); /* index */
void exo_block_free(struct exo_pool *pool, uint32_t index, uint32_t owner);
/* One more holder; each of them frees it. The caller holds it. */
int exo_block_share(struct exo_pool *pool, uint32_t index, uint32_t with);
void *exo_block_at(struct exo_pool *pool, uint32_t index);
/* For who cannot work in place: copies into a block, out of it, and counts that. -EMSGSIZE. */
int exo_block_write(struct exo_pool *pool, uint32_t index, const void *data, uint64_t size);
int exo_block_read(struct exo_pool *pool, uint32_t index, void *data, uint64_t size);
/* Blocks that dead owners held or had on the way come back; how many. */
uint32_t exo_pool_repair(struct exo_pool *pool);
/* And those of an owner that is gone whatever its word says, 0 nobody. */
uint32_t exo_pool_repair_of(struct exo_pool *pool, uint32_t gone);
uint64_t exo_pool_free_count(const struct exo_pool *pool);

/* blockmsg.c: messages that carry a block. Sending gives it away; who receives it holds it. */
int exo_ring_send_block(struct exo_ring *ring, uint32_t owner, uint32_t type, struct exo_pool *pool,
                        uint32_t index, uint64_t size);
int exo_ring_receive_block(struct exo_ring *ring, uint32_t owner, struct exo_pool **pool,
                           uint32_t *index, uint64_t *size);
/* The same for whoever has a message from exo_ring_take(), before it releases the slot. */
int exo_block_receive(struct exo_ring *ring, const struct exo_ring_slot *slot, uint64_t position,
                      uint32_t owner, struct exo_pool **pool, uint32_t *index, uint64_t *size);
/* A message's block is lost: its consumer died, or nobody will read the ring any more. */
void exo_block_drop(struct exo_ring *ring, const struct exo_ring_slot *slot, uint64_t position);

#endif
