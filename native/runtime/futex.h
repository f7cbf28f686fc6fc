/* Futexes whose words hold the owner's tid. */
#ifndef EXO_RUNTIME_FUTEX_H
#define EXO_RUNTIME_FUTEX_H

#include "area.h"

/* The thread ends, and gives its slot away: who waits for futexes it owns learns it. */
void exo_pi_leave(void);

#endif
