/* Who sleeps on an object of exo's, in truth: counts of sleepers are too high once one was killed. */
#ifndef EXO_CORE_ASLEEP_H
#define EXO_CORE_ASLEEP_H

#include <exo/core.h>

#define EXO_WAKE_AGAIN 64 /* units of 1024 cycles after which a waking may be lost: exo_moment() */

/* How many sleep on that number and side; polls: with those who may, for what pollers look at nobody
 * knows. */
uint32_t exo_sleepers(struct exo_kr *kr, uint32_t number, bool writes, bool polls);

#endif
