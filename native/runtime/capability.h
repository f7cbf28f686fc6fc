/* What the calling task may do. */
#ifndef EXO_RUNTIME_CAPABILITY_H
#define EXO_RUNTIME_CAPABILITY_H

#include "area.h"

/* Whether a capability below 32 is in the thread's effective set. */
bool exo_capable(unsigned capability);

#endif
