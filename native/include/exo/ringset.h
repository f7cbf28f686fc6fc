/* Sets of rings, one for each CPU: a producer pushes into its CPU's, so that producers on different
 * CPUs share no cache line; a consumer takes from its own CPU's, or from all.
 *
 * A producer may be moved to another CPU between finding out where it is and pushing. The rings are
 * therefore for many producers, and nothing but time is lost. Messages are in order within a ring,
 * so those of a producer that is moved need not be.
 *
 * The same in Python is exo_um/ipc/ringset_jit.py, on the same memory.
 */
#ifndef EXO_RINGSET_H
#define EXO_RINGSET_H

#include <exo/ring.h>

#define EXO_RINGSET_MAGIC 0x3154455347524f45 /* "EORGSET1" */
#define EXO_RINGSET_MAX 64                   /* with more CPUs some share a ring */

/* Flags of a set. */
#define EXO_RINGSET_RDPID 1 /* the machine's processors know this instruction */

/* In shared memory, aligned to 64 bytes; the rings follow. */
struct exo_ringset {
    uint64_t magic;
    uint32_t count;  /* rings; CPU n's is number n % count */
    uint32_t flags;  /* EXO_RINGSET_RDPID */
    uint64_t stride; /* bytes from one ring to the next */
    uint32_t order, kind;
    uint64_t reserved_0[4];

    struct exo_ring_bell data; /* rung for those who wait for any of the rings */
    uint32_t next;             /* C: the ring to look at first, so that none is forgotten */
    uint32_t reserved_1[13];
};

/* ringset.c. Errors as in ring.h. */
uint64_t exo_ringset_size(uint32_t count, uint32_t order); /* bytes */
/* -EINVAL: count, order, or a kind for one producer. flags: of the rings. */
int exo_ringset_init(struct exo_ringset *set, uint32_t count, uint32_t order, uint32_t kind,
                     uint32_t flags);
/* For its own consumer: exo_ring_pop() and the like. */
struct exo_ring *exo_ringset_ring(struct exo_ringset *set, uint32_t index);
uint32_t exo_ringset_here(const struct exo_ringset *set); /* index of this CPU's ring */
int exo_ringset_push(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                     uint32_t size);
long exo_ringset_push_many(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                           uint32_t size, uint32_t count);
/* From all, each in its turn; -EPIPE when all are closed and empty. */
int exo_ringset_pop(struct exo_ringset *set, uint32_t owner, struct exo_message *message);
long exo_ringset_pop_many(struct exo_ringset *set, uint32_t owner, struct exo_message *messages,
                          uint32_t count);
void exo_ringset_close(struct exo_ringset *set);
uint64_t exo_ringset_count(struct exo_ringset *set); /* messages in all, about */
/* Room in the ring of the CPU where the caller is when it looks. */
int exo_ringset_push_wait(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                          uint32_t size, const struct exo_wait_policy *policy);
/* ringwait.c */
int exo_ringset_pop_wait(struct exo_ringset *set, uint32_t owner, struct exo_message *message,
                         const struct exo_wait_policy *policy);

#endif
