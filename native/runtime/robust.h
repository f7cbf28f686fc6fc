/* Futexes that outlive their owners. */
#ifndef EXO_RUNTIME_ROBUST_H
#define EXO_RUNTIME_ROBUST_H

#include "signal.h"

#define EXO_SI_DIE (-4711) /* si_code of the SIGSYS that stands for SIGKILL */

/* Marks what the task, or every thread of this process, owns as left by a dead owner. */
void exo_robust_release(struct exo_task *task);
void exo_robust_release_all(void);
/* Called when the process gets writable shared memory. */
void exo_robust_guard(void);
/* Whether the default action of sig goes through the runtime. */
bool exo_robust_guards(int sig);
long exo_robust_kill(const struct exo_task *leader);
/* exit.c: everything of the calling thread's end but the host's part. */
void exo_thread_leave(void);

#endif
