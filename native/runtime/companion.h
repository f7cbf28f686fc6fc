/* The kernel process of an instance that a preloaded program has made: started when it is needed. */
#ifndef EXO_RUNTIME_COMPANION_H
#define EXO_RUNTIME_COMPANION_H

#include "area.h"

/* Starts it, if nobody has, and does not wait. Before the first fork at the latest: what a guest shares
 * with it is inherited. */
void exo_companion_begin(void);
static inline void exo_companion_start(void)
{
    if (unlikely(load_acquire(&KR->kernel_state) == EXO_KERNEL_ABSENT))
        exo_companion_begin();
}

/* Until it serves; false if it never will. */
bool exo_companion_awaited(void);
static inline bool exo_kernel_serves(void)
{
    uint32_t state = load_acquire(&KR->kernel_state);
    return likely(state == EXO_KERNEL_THERE || state == EXO_KERNEL_SERVES) ||
           exo_companion_awaited();
}

/* The first guest is about to end: has the counts written that EXO_STATS asks for. */
static inline bool exo_companion_reports(void)
{
    return unlikely(KR->kernel_state != EXO_KERNEL_THERE) && KR->companion.stats[0] != '\0' &&
           area()->leader == &KR->tasks[1];
}

#endif
