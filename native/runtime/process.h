/* Which task a pidfd stands for. */
#ifndef EXO_RUNTIME_PROCESS_H
#define EXO_RUNTIME_PROCESS_H

#include "area.h"

/* Slot of the process behind a host pidfd; 0 if it is not of this instance. */
uint32_t exo_slot_of_pidfd(int host_pidfd);

/* pass.c: the call in progress, as the host serves it. */
long exo_pass(long a, long b, long c, long d, long e, long f);

#endif
