/* One CPU for the calling process. */
#ifndef PIN_H
#define PIN_H

#include <sched.h>
#include <unistd.h>

static inline void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        _exit(3);
}

#endif
