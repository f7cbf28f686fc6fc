/* Channels of exo_std: a piece of shared memory with a ring, pools for what is larger than a slot,
 * and a line for each process that takes part, so that the others see it go.
 *
 * Addressed by offset from the channel, which begins its memory. What is read from shared memory is
 * checked once, by exo_channel_open(), and kept in a struct exo_port of the process's own.
 */
#ifndef EXO_CHANNEL_H
#define EXO_CHANNEL_H

#include <exo/pool.h>
#include <exo/roster.h>

#define EXO_CHANNEL_MAGIC 0x314e41484358455f /* "_EXCHAN1" */
#define EXO_CHANNEL_ENDS 64                  /* owners' numbers, 0 is nobody's */
#define EXO_CHANNEL_POOLS 4
#define EXO_CHANNEL_TICKETS 16
#define EXO_CHANNEL_TYPE 1024 /* bytes of the description of what it carries, with NUL */
#define EXO_CHANNEL_EXTRA 32  /* bytes beside a block in its message, the sender's */

/* What a process does with a channel; until it has done anything, it may do both. */
#define EXO_CHANNEL_SENDS 1
#define EXO_CHANNEL_RECEIVES 2
#define EXO_CHANNEL_PRESENT 4

/* What can be waited for. */
#define EXO_CHANNEL_DATA 0
#define EXO_CHANNEL_ROOM 1
#define EXO_CHANNEL_BLOCK 2

struct exo_channel {
    uint64_t magic;
    uint64_t size;      /* bytes of all of it */
    uint64_t ring_at;   /* bytes from the channel, as the following */
    uint64_t roster_at; /* who takes part */
    uint64_t pools_at[EXO_CHANNEL_POOLS];
    uint32_t pool_count;
    uint32_t ticket_count; /* given so far */
    uint64_t reserved_0[7];

    struct exo_ring_bell freed;      /* rung when a block is freed */
    uint32_t left[2], died[2];       /* senders, receivers that have left, that were found dead */
    uint64_t ends[EXO_CHANNEL_ENDS]; /* by number: generation (32), flags; 0 nobody */
    uint64_t tickets[EXO_CHANNEL_TICKETS]; /* giver's number (32), a count: somebody is to join */
    uint16_t cpus[EXO_CHANNEL_ENDS]; /* by number: 1 + where it last waited, a hint; 0 nowhere */
    char type[EXO_CHANNEL_TYPE];
    uint64_t reserved_1[5];
};

/* How much of everything: pools by rising block size, 0 blocks: not there. */
struct exo_channel_shape {
    uint32_t order; /* log2 of the ring's slots */
    uint32_t kind;  /* EXO_RING_MPMC, ... */
    uint64_t block_size[EXO_CHANNEL_POOLS];
    uint64_t block_count[EXO_CHANNEL_POOLS];
};

/* A process's own view of a channel. */
struct exo_port {
    struct exo_channel *channel;
    struct exo_ring *ring;
    struct exo_roster *roster;
    uint64_t size;
    uint32_t owner; /* 0: has not joined */
    uint32_t roles; /* as noted in the channel */
    uint32_t pool_count;
    uint32_t spin_cycles; /* how long a wait spins at the moment: as long as it has been worth it */
    struct exo_port_pool {
        struct exo_pool *pool;
        uint64_t size, count; /* bytes of a block, blocks */
        uint64_t blocks_at;
    } pools[EXO_CHANNEL_POOLS];
};

/* A block that this process holds. */
struct exo_port_block {
    uint32_t pool, index;
    uint64_t size; /* bytes of the message in it */
};

struct exo_port_message {
    uint32_t size; /* bytes of payload, or of extra */
    uint32_t has_block;
    struct exo_port_block block;
    uint8_t payload[EXO_RING_PAYLOAD + 8]; /* or the extra bytes beside a block */
};

struct exo_port_wait {
    uint64_t deadline_ns; /* CLOCK_MONOTONIC, UINT64_MAX never */
    uint64_t size;        /* EXO_CHANNEL_BLOCK: of at least so many bytes */
    uint32_t *control; /* a futex of this process: the wait ends when it is not `seen`; or NULL */
    uint32_t seen;
    uint32_t yields;
};

/* channel.c. Errors: -EINVAL, -EBADMSG it is no channel. */
uint64_t exo_channel_size(const struct exo_channel_shape *shape); /* 0: it makes no sense */
int exo_channel_init(struct exo_channel *channel, const struct exo_channel_shape *shape,
                     const char *type);
/* size: bytes mapped. port is filled, and has not joined. */
int exo_channel_open(struct exo_channel *channel, uint64_t size, struct exo_port *port);

/* The same as exo_ring_push() and exo_ring_pop(); a message with a block is told by has_block.
 * -EAGAIN, -EPIPE, -EMSGSIZE; -EBADMSG: it was no message that makes sense, and is gone. */
int exo_port_send(struct exo_port *port, const void *data, uint32_t size);
int exo_port_receive(struct exo_port *port, struct exo_port_message *message);
/* Sends a block away with up to EXO_CHANNEL_EXTRA bytes beside it. -EBADF: not held. */
int exo_port_send_block(struct exo_port *port, const struct exo_port_block *block,
                        const void *extra, uint32_t size);
/* The smallest free block that has room. -EAGAIN; -EMSGSIZE: none will ever have. */
int exo_port_block_create(struct exo_port *port, uint64_t size, struct exo_port_block *block);
void exo_port_block_free(struct exo_port *port, const struct exo_port_block *block);
void *exo_port_block_at(const struct exo_port *port, const struct exo_port_block *block);
void exo_port_block_count_copy(struct exo_port *port, const struct exo_port_block *block,
                               uint64_t size);

/* channelwait.c: the number that the process has from exo_roster_take(); then leaves again. */
void exo_port_join(struct exo_port *port, uint32_t owner);
void exo_port_leave(struct exo_port *port);
/* What this process does from now on. */
void exo_port_role(struct exo_port *port, uint32_t role);
/* For who hands the channel on: until the ticket ends, or this process, nobody is told that it is
 * left alone. Who joins ends it; whoever gave it may do so too. 0: there are too many. */
uint64_t exo_port_ticket(struct exo_port *port);
void exo_port_ticket_end(struct exo_port *port, uint64_t ticket);
/* How many other processes may still do `role`. */
uint32_t exo_port_others(const struct exo_port *port, uint32_t role);
/* Spins, if somebody may be at work on another CPU, then yields: whether a try is worth it. */
bool exo_port_spin(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait);
/* Sleeps until a try is worth it: 0. -ETIMEDOUT, -EINTR; -ECANCELED: the control word; -EPIPE: nobody is
 * left at the other end; -EOWNERDEAD: that too, and one of them was killed. */
int exo_port_wait(struct exo_port *port, uint32_t what, const struct exo_port_wait *wait);
/* What dead processes had comes back. Whoever waits does this too. How many had died. */
uint32_t exo_port_bury(struct exo_port *port);
/* Tells the others that somebody has come or gone. */
void exo_port_stir(struct exo_port *port);

#endif
