/* What the core asks of the thread it runs on, for the kernel process's threads.
 *
 * Replaces the thread's host robust list: Python and glibc use no robust mutexes here, and a list
 * has room for one futex offset only.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/core.h>

static _Thread_local struct exo_self self;

static void self_init(void)
{
    self.robust.list = (uint64_t)(uintptr_t)&self.robust.list;
    self.robust.futex_offset =
        (int64_t)offsetof(struct exo_lock, word) - (int64_t)offsetof(struct exo_lock, node);
    self.host_tid = (uint32_t)syscall(SYS_gettid);
    syscall(SYS_set_robust_list, &self.robust, sizeof self.robust);
}

struct exo_self *exo_self(void)
{
    if (self.host_tid == 0)
        self_init();
    return &self;
}

long exo_host_call(long nr, long a, long b, long c, long d, long e, long f)
{
    long result = syscall(nr, a, b, c, d, e, f);
    return result == -1 ? -errno : result;
}

long exo_guest_copy(void *to, const void *from, uint64_t size)
{
    memcpy(to, from, size);
    return 0;
}

long exo_guest_copy_past(void *to, const void *from, uint64_t size)
{
    return exo_guest_copy(to, from, size);
}

bool exo_guest_same(const void *guest, const void *with, uint64_t size)
{
    return memcmp(guest, with, size) == 0;
}
