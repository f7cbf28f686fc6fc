/* Who sleeps on an object of exo's, in truth: counts of sleepers are too high once one was killed. */
#ifndef EXO_RUNTIME_ASLEEP_H
#define EXO_RUNTIME_ASLEEP_H

#include "area.h"

#define EXO_WAKE_AGAIN 64 /* units of 1024 cycles after which a waking may be lost: exo_moment() */

/* How many sleep on that number and side; polls: with those who may, for what pollers look at nobody
 * knows. */
uint32_t exo_sleepers(uint32_t number, bool writes, bool polls);

#endif
