/* What becomes of a call before it is served, where the guest has asked for that. */
#ifndef EXO_RUNTIME_VERDICT_H
#define EXO_RUNTIME_VERDICT_H

#include "area.h"

/* The guest's Syscall User Dispatch, then its seccomp filters, in Linux's order; a tracer's stop at
 * entry comes between the two. True if the call is not to be served; then *result is. */
bool exo_dispatch_takes(long *result);
bool exo_seccomp_takes(long *result);

/* seccomp.c: the prctl(2) side. */
long exo_seccomp_mode(void);
long exo_seccomp_set_mode(uint64_t mode, uint64_t program);
long exo_dispatch_set(uint64_t mode, uint64_t start, uint64_t size, uint64_t selector);

#endif
