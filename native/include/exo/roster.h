/* Rosters: numbers for processes that share rings and pools outside an instance.
 *
 * A number belongs to a process from exo_roster_take() until it leaves or dies, however it dies: its
 * word (struct exo_lock's) is on the host robust list of a thread that lives as long as the process
 * (host/keeper.c). A number is another's only after the rings and pools registered here have been
 * repaired. In an instance task slots are the numbers, and struct exo_kr.items has what is to be
 * repaired.
 */
#ifndef EXO_ROSTER_H
#define EXO_ROSTER_H

#include <exo/core.h>
#include <exo/pool.h>

#define EXO_ROSTER_MAGIC 0x314c4c4f524f5845 /* "EXOROLL1" */
#define EXO_ROSTER_COUNT_MAX 65536          /* what an owner's place in a header has room for */

/* In shared memory, aligned to 64 bytes; members follow. */
struct exo_roster {
    uint64_t magic;
    uint32_t count; /* numbers, 0 included, which is nobody's */
    uint32_t next;  /* where to look for a free one: a number rests for as long as it can */
    struct exo_items items;
    uint64_t reserved[6];
};

/* What this process has mapped, so that no offset found in shared memory leads out of it. */
struct exo_mapped {
    void *at;
    uint64_t size; /* bytes */
};

/* roster.c. Errors: -EINVAL count, -EBADF neither ring, set of rings nor pool, or not within what is mapped. */
uint64_t exo_roster_size(uint32_t count); /* bytes */
int exo_roster_init(struct exo_roster *roster, uint32_t count);
/* -EBADF: it is none, or larger than what is mapped. */
int exo_roster_check(const struct exo_roster *roster, const struct exo_mapped *mapped);
/* A ring, set of rings or pool whose owners are this roster's from now on. -ENOSPC: EXO_ITEM_COUNT are there. */
int exo_roster_register(struct exo_roster *roster, const struct exo_mapped *mapped, void *item);
/* To be done before the memory of a ring or pool is used for something else. */
void exo_roster_unregister(struct exo_roster *roster, const void *item);
/* A number for self, whose robust list it is put on; -EAGAIN: all are taken. */
int exo_roster_take(struct exo_roster *roster, const struct exo_mapped *mapped,
                    struct exo_self *self);
/* Marks a number as a dead owner's, and repairs. It is on no robust list any more. */
void exo_roster_give(struct exo_roster *roster, const struct exo_mapped *mapped, uint32_t number);
struct exo_lock *exo_roster_member(struct exo_roster *roster, uint32_t number);
bool exo_roster_is_alive(struct exo_roster *roster, uint32_t number);
/* How often the number has been taken: with it a process that had it is told from the next one. */
uint32_t exo_roster_generation(struct exo_roster *roster, uint32_t number);
/* What dead members have left behind in what is registered; how many claims and blocks. */
uint32_t exo_roster_repair(struct exo_roster *roster, const struct exo_mapped *mapped);

/* items.c: the same for what is registered in a kernel region. */
int exo_kr_register(struct exo_kr *kr, void *item);
void exo_kr_unregister(struct exo_kr *kr, const void *item);
/* What a task that is gone has left; before its slot is another's. */
void exo_kr_repair(struct exo_kr *kr, uint32_t slot);

#endif
