/* What the core asks of its environment, in any process: system calls that leave errno alone, and a
 * robust list that the host does not know, as the process's own may be in use. No lock of a private
 * heap outlives its owner but in a child of fork(2), see thread.c.
 */
#include <sys/syscall.h>

#include "exo_malloc.h"

static _Thread_local struct exo_self self __attribute__((tls_model("initial-exec")));

struct exo_self *exo_self(void)
{
    if (self.host_tid == 0)
        self.host_tid = (uint32_t)exo_host_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
    return &self;
}

long exo_host_call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
