/* futex(2). */
#ifndef EXO_RUNTIME_FUTEX_H
#define EXO_RUNTIME_FUTEX_H

#include "area.h"

/* futex.c: the thread ends, and gives its slot away: who waits for futexes it owns learns it. */
void exo_pi_leave(void);

/* futexwait.c: all but the priority-inheritance operations. */
long exo_futex_plain(long a, long b, long c, long d, long e, long f);

#endif
