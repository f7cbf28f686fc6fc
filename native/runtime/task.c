/* A task's own settings: arch_prctl(2), and calls about tasks that exo limits: capget(2), ptrace(2),
 * unshare(2), setns(2).
 */
#include "file.h"
#include "translate.h"

#define ARCH_SET_GS_ 0x1001
#define ARCH_GET_GS_ 0x1004
#define ARCH_SHSTK_FIRST 0x5001
#define ARCH_SHSTK_LAST 0x5005

SYSCALL(arch_prctl)
{
    uint64_t zero = 0;
    if (a == ARCH_GET_GS_)
        return guest_put(b, &zero);
    if (a == ARCH_SET_GS_) /* DIFFERS: GS base is the runtime's: only 0, which it seems to be */
        return b == 0 ? 0 : -EPERM;
    if (a >= ARCH_SHSTK_FIRST && a <= ARCH_SHSTK_LAST) /* DIFFERS: no shadow stacks: EOPNOTSUPP */
        return -EOPNOTSUPP;
    return HOST_2(__NR_arch_prctl, a, b);
}

/* The header of capget(2) and capset(2) names a thread. */
static long with_capabilities(long nr, uint64_t header, long data)
{
    struct {
        uint32_t version;
        int32_t pid;
    } own;
    if (guest_get(&own, header) != 0)
        return -EFAULT;
    if (own.pid > 0) {
        uint32_t host = exo_host_of((uint32_t)own.pid);
        if (host == 0)
            return -ESRCH;
        own.pid = (int32_t)host;
    }
    long result = HOST_2(nr, &own, data);
    if (guest_put(header, &own.version) != 0) /* the host tells its version if it knows no other */
        return -EFAULT;
    return result;
}

SYSCALL(capget)
{
    return with_capabilities(__NR_capget, (uint64_t)a, b);
}

SYSCALL(capset)
{
    return with_capabilities(__NR_capset, (uint64_t)a, b);
}

/* DIFFERS: no tracing of guests by guests yet: EPERM, as under a restrictive host. */
SYSCALL(ptrace)
{
    return -EPERM;
}

/* DIFFERS: no namespaces of the guest's own yet: EPERM; files and fs are really unshared. */
SYSCALL(unshare)
{
    uint64_t flags = (uint64_t)a;
    if (flags & ~(CLONE_FILES_ | CLONE_FS_ | 0x40000UL /* CLONE_SYSVSEM */))
        return -EPERM;
    if (flags & CLONE_FILES_) {
        long error = exo_fd_unshare();
        if (error != 0)
            return error;
    }
    return HOST_1(__NR_unshare, flags & ~CLONE_FILES_);
}

SYSCALL(setns)
{
    return exo_fd_host((int)a) < 0 ? -EBADF : -EPERM;
}
