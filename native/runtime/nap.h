/* The batch optimiser: a reader to whom many small writes come naps before it sleeps, and is not woken by each. nap.c */
#ifndef EXO_NAP_H
#define EXO_NAP_H

#include "area.h"

#define EXO_NAP_NS 200000
#define EXO_NAP_LITTLE                                                                             \
    1024 /* bytes: of less than that a write is small, and what has come is little */

/* The reader's: whether to nap rather than to sleep at once. */
bool exo_nap_is_worth(struct exo_nap_habit *habit);
/* It does so, unless somebody else does; the object's lock is held. Who writes after the next fence owes it a bell. */
bool exo_nap_begin_locked(struct exo_nap *nap);
void exo_nap_end_locked(struct exo_nap *nap, struct exo_nap_habit *habit);
/* It has waited since then, and it was little that has come. */
void exo_nap_learn(struct exo_nap_habit *habit, uint32_t since, bool little);

/* The writer's, who has found nap->napper set: the bell is owed until the thread is about to wait or ends. */
void exo_nap_owe(struct exo_nap *nap, struct exo_fd *at, struct exo_fd fd);
void exo_nap_pay_now(void);
static inline void exo_nap_pay(void)
{
    if (unlikely(area()->owes != NULL))
        exo_nap_pay_now();
}

/* pipewait.c, sockwait.c: wake who naps, if anybody does. */
void exo_pipe_end_nap(struct exo_fd *at, struct exo_fd fd);
void exo_sock_end_nap(struct exo_fd *at);

#endif
