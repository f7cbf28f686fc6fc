/* Shared by the ways a thread's memory ends: exit and exec. */
#ifndef EXO_RUNTIME_EXIT_H
#define EXO_RUNTIME_EXIT_H

#include "signal.h"

void exo_release_memory(void);

#endif
