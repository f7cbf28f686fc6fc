/* How the host is told to hand the guest's system calls to the runtime. */
#ifndef EXO_RUNTIME_INTERCEPT_H
#define EXO_RUNTIME_INTERCEPT_H

#include "area.h"

/* For the calling thread; needed again after every clone in dispatch mode. */
void exo_intercept_arm(void);
/* In what the kernel process starts: installs the filter in seccomp mode, waits for the tracer in
 * ptrace mode. 0 or -errno. */
long exo_intercept_init(void);

#endif
