/* A task's own settings: prctl(2), arch_prctl(2), and calls about tasks that exo limits: capget(2),
 * ptrace(2), unshare(2), setns(2).
 */
#include <linux/prctl.h>

#include "file.h"
#include "translate.h"
#include "verdict.h"

#define ARCH_SET_GS_ 0x1001
#define ARCH_GET_GS_ 0x1004
#define ARCH_SHSTK_FIRST 0x5001
#define ARCH_SHSTK_LAST 0x5005
#define PR_SET_MDWE_ 65
#define PR_GET_MDWE_ 66
#define PR_SCHED_CORE_ 62

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

static long get_tid_address(uint64_t to)
{
    return guest_put(to, &area()->clear_child_tid);
}

static long set_ptracer(long pid, long d, long e, long f)
{
    uint32_t host = pid <= 0 ? 0 : exo_host_of((uint32_t)pid);
    if (pid > 0 && host == 0)
        return -EINVAL;
    return HOST_5(__NR_prctl, PR_SET_PTRACER, pid > 0 ? (long)host : pid, d, e, f);
}

/* The host's too, for what it asks itself, such as landlock_restrict_self(2). */
static long set_no_new_privs(long b, long c, long d, long e)
{
    long error = HOST_5(__NR_prctl, PR_SET_NO_NEW_PRIVS, b, c, d, e);
    if (error == 0)
        fetch_or(&area()->task->security, EXO_SECURITY_NO_NEW_PRIVS);
    return error;
}

SYSCALL(prctl)
{
    switch ((int)a) {
    case PR_SET_SYSCALL_USER_DISPATCH:
        return exo_dispatch_set((uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e);
    case PR_SET_SECCOMP:
        return exo_seccomp_set_mode((uint64_t)b, (uint64_t)c);
    case PR_GET_SECCOMP:
        return exo_seccomp_mode();
    case PR_SET_NO_NEW_PRIVS:
        return set_no_new_privs(b, c, d, e);
    case PR_GET_NO_NEW_PRIVS:
        return (b | c | d | e) != 0 ? -EINVAL
                                    : (long)(area()->task->security & EXO_SECURITY_NO_NEW_PRIVS);
    case PR_SET_MDWE_: /* DIFFERS: would stop the patching of sites: EINVAL */
    case PR_SCHED_CORE_:
        return -EINVAL;
    case PR_GET_MDWE_:
        return 0;
    case PR_SET_MM: /* DIFFERS: the memory map's description is the loader's: EPERM */
        return -EPERM;
    case PR_GET_TID_ADDRESS:
        return get_tid_address((uint64_t)b);
    case PR_SET_PTRACER:
        return set_ptracer(b, c, d, e);
    default:
        return host_wait(__NR_prctl, a, b, c, d, e, 0);
    }
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
