/* Memory-deny-write-execute, PR_SET_MDWE of prctl(2). */
#ifndef EXO_RUNTIME_MDWE_H
#define EXO_RUNTIME_MDWE_H

#include "area.h"

long exo_mdwe_set(uint64_t bits, long c, long d, long e);
long exo_mdwe_get(long b, long c, long d, long e);
#define EXO_TASK_MDWE_BOTH (EXO_TASK_MDWE | EXO_TASK_MDWE_ONCE)
/* A new memory's or program's flags (enum exo_task_flags) after its maker's. */
uint32_t exo_mdwe_inherit(uint32_t flags);
/* Whether a mapping with that protection, or a change to it, is to fail with EACCES. */
bool exo_mdwe_refuses_map(long protection);
bool exo_mdwe_refuses_change(uint64_t start, uint64_t size, long protection);

#endif
