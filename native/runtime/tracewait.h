/* Waiting for what a process traces, together with its children. */
#ifndef EXO_RUNTIME_TRACEWAIT_H
#define EXO_RUNTIME_TRACEWAIT_H

#include "area.h"

#define WNOHANG_ 1
#define WEXITED_ 4
#define WNOWAIT_ 0x01000000
#define P_ALL 0
#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3

/* Whom to wait for, in exo's numbers: P_PIDFD by slot. */
struct exo_wanted {
    int type;
    uint32_t id;
};

/* The host's call that waits for the same. */
struct exo_host_wait {
    bool none; /* no child can fit: -ECHILD */
    long nr, args[5];
};

struct exo_trace_news {
    uint32_t tid;
    uint32_t status; /* as wait4 has it */
    int code;        /* si_code and si_status as waitid has them */
    uint32_t value;
};

/* True with news of a tracee, else the host's result. For a process that traces (EXO_TASK_TRACES). */
bool exo_trace_wait(const struct exo_wanted *want, long options, struct exo_trace_news *news,
                    const struct exo_host_wait *host, long *result);

#endif
