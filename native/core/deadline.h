/* Timers that are watched: when a set is to be looked at because one of its timers expires. */
#ifndef EXO_CORE_DEADLINE_H
#define EXO_CORE_DEADLINE_H

#include "watch.h"

static inline bool exo_is_timer(const struct exo_event *event)
{
    return __atomic_load_n(&event->clock, __ATOMIC_RELAXED) != 0;
}

/* Whether it has expired, and nobody has read that. */
bool exo_timer_is_due(struct exo_kr *kr, const struct exo_event *event);
/* Takes all expirations until now; the timer goes on with the next one. Its lock is held. */
uint64_t exo_timer_take_locked(struct exo_kr *kr, struct exo_event *event);

/* Who watches the timer, or a set with timers in it, is to look at it then. True: somebody sleeps on a
 * set that it is in, so the twin is to be told. No lock is held. */
bool exo_deadline_note(struct exo_kr *kr, uint32_t *watch, uint64_t ns);
/* The same of what has just been put into a set. */
bool exo_deadline_note_object(struct exo_kr *kr, uint32_t object);
/* Whether there may be a timer in the set that expires just now. */
bool exo_deadline_is_due(struct exo_kr *kr, const struct exo_epoll *set);
/* Tells of those that have. */
void exo_deadline_look(struct exo_kr *kr, uint32_t set, int depth);

#define EXO_NEVER (UINT64_MAX - 1023)

#endif
