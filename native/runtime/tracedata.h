/* A stopped tracee's memory and registers. */
#ifndef EXO_RUNTIME_TRACEDATA_H
#define EXO_RUNTIME_TRACEDATA_H

#include "trace.h"

/* Sets debug register i; 0 or -errno. */
long exo_trace_set_debug(struct exo_trace *record, uint64_t i, uint64_t value);
/* PTRACE_PEEK*, POKE*, GETREGS and their like. */
long exo_trace_data(struct exo_task *task, long request, uint64_t addr, uint64_t data);

#endif
