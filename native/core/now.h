/* What time it is, mostly without asking the host. */
#ifndef EXO_CORE_NOW_H
#define EXO_CORE_NOW_H

#include <exo/core.h>

/* CLOCK_MONOTONIC in ns: never ahead of the host's, and behind it by less than EXO_NOW_LATE; a thread never
 * sees it go back. */
uint64_t exo_now_ns(const struct exo_kr *kr);
#define EXO_NOW_LATE 1000

#endif
