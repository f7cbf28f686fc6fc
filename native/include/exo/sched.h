/* The predictive scheduler: who runs next on a CPU, by how long it is likely to run.
 *
 * Each CPU has three lists. Hot and normal are its owner's alone, so that a pick costs no atomic
 * instruction; cold is locked, as other CPUs steal from it; what others enqueue goes through an
 * inbox. The lists are links between entities, by number. An entity's word is the truth of it: what
 * a killed owner or waker has left half done is made good from the words (schedrepair.c).
 *
 * An entity is embedded in what is scheduled (an exo task). It is woken by anybody; everything else is
 * done by the owner of the CPU that it runs on. The same algorithm in Python is
 * exo_um/sched/pick_jit.py and its neighbours, on the same memory.
 */
#ifndef EXO_SCHED_H
#define EXO_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include <exo/ring.h>

#define EXO_SCHED_MAGIC 0x3144454843535845 /* "EXSCHED1" */
#define EXO_SCHED_CPUS 64
#define EXO_SCHED_NO_CPU 0xffff /* a caller that owns no CPU */
#define EXO_SCHED_CELLS 4096    /* of what is remembered about kinds */

/* Classes, in the order in which they are picked. */
#define EXO_SCHED_HOT 0
#define EXO_SCHED_NORMAL 1
#define EXO_SCHED_COLD 2
#define EXO_SCHED_CLASSES 3

/* Run times below the first are hot, from the second on cold; in ns, if nobody sets another unit. */
#define EXO_SCHED_NORMAL_FROM 1000000
#define EXO_SCHED_COLD_FROM 10000000

/* Averages move by 0.3 (19661 / 65536) of the difference. */
#define EXO_SCHED_ALPHA 19661
#define EXO_SCHED_ALPHA_SHIFT 16
#define EXO_SCHED_RUN_MAX 0xffffffffffL /* longer runs count as that */
#define EXO_SCHED_SAMPLES 16            /* run times of an entity whose classes are remembered */
#define EXO_SCHED_CONTEXT 4             /* of them, the newest, that a prediction looks at */

/* Flags of a scheduler. */
#define EXO_SCHED_BY_AVERAGE 1 /* predict by each entity's average alone: for comparison */

/* Ageing: a list that has entities but was passed over for so many picks comes first. So with k
 * entities before it in its list, one is picked within (k + 1) * 3 picks if it is hot, (k + 1) *
 * (EXO_SCHED_AGE_NORMAL + 1) if it is normal, (k + 1) * EXO_SCHED_AGE_COLD if it is cold. */
#define EXO_SCHED_AGE_NORMAL 8
#define EXO_SCHED_AGE_COLD 32
#define EXO_SCHED_NEVER INT64_MAX

/* States of an entity. */
#define EXO_SCHED_FREE 0
#define EXO_SCHED_BLOCKED 1 /* until it is woken */
#define EXO_SCHED_WAKING 2  /* on its way into a CPU's inbox, or in it */
#define EXO_SCHED_READY 3   /* in a CPU's list */
#define EXO_SCHED_RUNNING 4
#define EXO_SCHED_LOST 5 /* was running on a CPU whose owner died */

/* An entity's word, from the lowest bit: CPU (16), class (8), state (8), owner that wakes it (16). */
#define EXO_SCHED_CLASS_SHIFT 16
#define EXO_SCHED_STATE_SHIFT 24
#define EXO_SCHED_OWNER_SHIFT 32

struct exo_sched_entity {
    uint64_t word;
    uint32_t next;      /* behind it in its list, 0 nobody */
    uint32_t token;     /* woken while it was not blocked: its next block does not */
    uint64_t affinity;  /* bit n: may run on CPU n */
    int64_t average;    /* of its run times, moving */
    uint32_t samples;   /* run times accounted, EXO_SCHED_SAMPLES at most */
    uint32_t history;   /* 1 + their classes, two bits each, the newest lowest */
    uint32_t kind;      /* a function, a program: those of a kind learn together */
    uint32_t predicted; /* class that its next run is expected to have */
    uint64_t total;     /* of all run times */
    uint64_t reserved;
};

struct exo_sched_list {
    uint32_t head, tail;
};

/* A CPU's queues. O: written by its owner only, which works on one thread. */
struct exo_sched_cpu {
    uint32_t owner;                             /* 1 + the number of who works for it, 0 nobody */
    uint32_t running;                           /* O: entity, 0 none */
    struct exo_sched_list list[EXO_SCHED_COLD]; /* O: hot, normal */
    uint64_t picks;                             /* O */
    uint64_t due;                               /* O: pick before which no list is overdue */
    uint64_t served[EXO_SCHED_CLASSES - 1];     /* O: last pick of normal, of cold */
    uint32_t queued;                            /* O: entities in the lists, about */
    uint32_t backlog;                           /* O: taken from the inbox, not yet listed */

    uint32_t inbox;  /* last of those that others have enqueued */
    uint32_t repair; /* somebody died: look for what it left behind */
    struct exo_ring_bell bell;
    uint32_t pushed;   /* into the inbox, in all */
    uint32_t received; /* O: of them, listed */
    uint64_t reserved[5];

    uint32_t lock;   /* of the cold list: 1 + owner, 0 free */
    uint32_t stolen; /* how many others took */
    struct exo_sched_list cold;
    uint64_t reserved_1[6];

    uint8_t order[EXO_SCHED_CPUS]; /* the other CPUs, nearest first */
};

/* A scheduler in shared memory; its CPUs follow. Aligned to 64 bytes. */
struct exo_sched {
    uint64_t magic;
    uint32_t cpu_count;
    uint32_t entity_count; /* numbers 1 to entity_count - 1 */
    int64_t entities_away; /* bytes from this struct to number 0, which is not used */
    uint64_t stride;       /* bytes from one to the next */
    int64_t normal_from, cold_from;
    uint32_t normal_log, cold_log; /* the same, as exo_sched_log() gives it */
    uint32_t flags, reserved;

    struct exo_owners owners;
    uint64_t reserved_1[5];

    uint64_t attached; /* bit n: CPU n has an owner */
    uint64_t idle;     /* bit n: CPU n's owner sleeps, or is about to */
    uint64_t reserved_2[6];

    /* By kind and latest classes: moving average of the logarithms of what came then; 0 nothing
     * yet. Written by all, and it does no harm if one of two updates at once is lost. */
    uint32_t cells[EXO_SCHED_CELLS];
};

/* sched.c: setting up. */
uint64_t exo_sched_size(uint32_t cpus); /* bytes */
/* -EINVAL. sched is zeroed by this. */
int exo_sched_init(struct exo_sched *sched, uint32_t cpus);
/* Entities: number n is at first + n * stride, for 0 < n < count; more may be given later.
 * stride is a multiple of 8. */
int exo_sched_set_entities(struct exo_sched *sched, struct exo_sched_entity *first, uint64_t stride,
                           uint32_t count);
/* What is normal and what is cold, in the unit in which run times are given. -EINVAL. */
int exo_sched_set_thresholds(struct exo_sched *sched, int64_t normal_from, int64_t cold_from);
/* In which order a CPU looks at the others: all of them, nearest first. -EINVAL. */
int exo_sched_set_order(struct exo_sched *sched, uint32_t cpu, const uint8_t *order);
/* A new entity, blocked; affinity 0: any CPU. -EINVAL, -EBUSY it is in use. */
int exo_sched_create(struct exo_sched *sched, uint32_t index, uint32_t kind, uint64_t affinity);
/* The end of one that runs, or that is blocked and that nobody wakes any more. */
void exo_sched_destroy(struct exo_sched *sched, uint32_t cpu, uint32_t index);
/* Counts from when the entity is enqueued next. -EINVAL: no CPU is left. */
int exo_sched_set_affinity(struct exo_sched *sched, uint32_t index, uint64_t affinity);
struct exo_sched_entity *exo_sched_at(const struct exo_sched *sched, uint32_t index);

/* schedpredict.c */
/* The running entity has run for so long; decides its class. Before it is requeued or blocked. */
void exo_sched_account(struct exo_sched *sched, uint32_t index, int64_t run);
/* It is something else from now on (exec): what it did before says nothing of what it will. */
void exo_sched_become(struct exo_sched *sched, uint32_t index, uint32_t kind);
/* log2 of a run time + 1 with 16 fraction bits, linear between powers of two. */
uint32_t exo_sched_log(int64_t run);

/* schedpick.c: for the owner of a CPU. */
/* Who is to run now, 0 nobody: from the own lists, or else from others' cold ones. */
uint32_t exo_sched_pick(struct exo_sched *sched, uint32_t cpu);
/* The running entity goes on later; is blocked until it is woken (unless it has been). Its context
 * must be whole in memory: another CPU may go on with it before these return. */
void exo_sched_requeue(struct exo_sched *sched, uint32_t cpu, uint32_t index);
void exo_sched_block(struct exo_sched *sched, uint32_t cpu, uint32_t index);

/* schedwake.c: for anybody. cpu: the one that the caller owns, or EXO_SCHED_NO_CPU; owner: the
 * caller's number, as long as it lives, or 0. 1: enqueued; 0: it is not blocked, and its next block returns at once; -EINVAL. */
int exo_sched_wake(struct exo_sched *sched, uint32_t cpu, uint32_t owner, uint32_t index);
/* Whether a pick is worth a try. */
bool exo_sched_is_ready(struct exo_sched *sched, uint32_t cpu);
/* Sleeps until it is, or somebody rings. 0, -ETIMEDOUT, -EINTR. */
int exo_sched_wait(struct exo_sched *sched, uint32_t cpu, uint64_t timeout_ns);
/* Wakes the owner of a CPU, if it sleeps. */
void exo_sched_ring(struct exo_sched *sched, uint32_t cpu);

/* schedrepair.c */
/* Makes owner (not 0 where there are others) that of a CPU; what a dead one left is made good, and
 * the entity that it ran is lost. -EINVAL, -EBUSY: it has a living owner. */
int exo_sched_attach(struct exo_sched *sched, uint32_t cpu, uint32_t owner);
/* Hands the CPU's entities to others, where there are any. */
void exo_sched_detach(struct exo_sched *sched, uint32_t cpu);
/* For twins in other languages, what is rare: a CPU that something was sent to has no owner any more;
 * the caller's own CPU is to look for what dead wakers left. */
#define EXO_SCHED_STOPPED 0
#define EXO_SCHED_LOOK 1
int exo_sched_help(struct exo_sched *sched, uint64_t cpu, uint64_t owner, uint64_t what);
/* After a death, by anybody: attached CPUs of dead owners are detached; the others' owners are told
 * to look for what was on its way. How many CPUs. A dead one's number may be given to another
 * when every attached CPU's repair is 0 again. */
uint32_t exo_sched_repair(struct exo_sched *sched, uint32_t owner);

#endif
