/* What the ptrace platform's tracer needs beside ptrace itself. */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

void exo_host_traced(struct exo_kr *kr, uint32_t slot)
{
    uint32_t *traced = &kr->tasks[slot].traced;
    __atomic_store_n(traced, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, traced, FUTEX_WAKE, 1, NULL, NULL, 0);
}
