/* prctl(2): the host's, but for what is exo's own, what names tasks or fds, and what would reach the
 * runtime. Every other option changes only what the guest itself gets from the host.
 */
#include <linux/prctl.h>

#include "mdwe.h"
#include "translate.h"
#include "verdict.h"

#define NOBODY 0x3fffff /* a pid that is none on the host */
#define PR_SET_MDWE_ 65
#define PR_GET_MDWE_ 66
#define PR_SCHED_CORE_ 62
#define PR_SCHED_CORE_SCOPE_PROCESS_GROUP_ 2

static long on_host(long a, long b, long c, long d, long e)
{
    return host_wait(__NR_prctl, a, b, c, d, e, 0);
}

static long get_tid_address(uint64_t to)
{
    return guest_put(to, &area()->clear_child_tid);
}

static long set_ptracer(long pid, long c, long d, long e)
{
    uint32_t host = pid <= 0 ? 0 : exo_host_of((uint32_t)pid);
    if (pid > 0 && host == 0)
        return -EINVAL;
    return on_host(PR_SET_PTRACER, pid > 0 ? (long)host : pid, c, d, e);
}

/* The host's too, for what it asks itself, such as landlock_restrict_self(2). */
static long set_no_new_privs(long b, long c, long d, long e)
{
    long error = on_host(PR_SET_NO_NEW_PRIVS, b, c, d, e);
    if (error == 0)
        fetch_or(&area()->task->security, EXO_SECURITY_NO_NEW_PRIVS);
    return error;
}

static long get_no_new_privs(long b, long c, long d, long e)
{
    if ((b | c | d | e) != 0)
        return -EINVAL;
    return area()->task->security & EXO_SECURITY_NO_NEW_PRIVS ? 1 : 0;
}

static int host_fd(int fd)
{
    return fd < 0 ? fd : exo_fd_host(fd);
}

/* DIFFERS: PR_SET_MM_EXE_FILE gives EBUSY even when the program's own file is no longer mapped. */
static long set_mm(long b, long c, long d, long e)
{
    struct prctl_mm_map map;
    if (b == PR_SET_MM_EXE_FILE)
        return on_host(PR_SET_MM, b, host_fd((int)c), d, e);
    if (b != PR_SET_MM_MAP || d != sizeof(map) || e != 0)
        return on_host(PR_SET_MM, b, c, d, e);
    if (guest_get(&map, c) != 0)
        return -EFAULT;
    if (map.exe_fd != (uint32_t)-1)
        map.exe_fd = (uint32_t)host_fd((int)map.exe_fd);
    return on_host(PR_SET_MM, b, (long)&map, d, e);
}

/* b says what to do, d for whom pid c stands. */
static long sched_core(long b, long c, long d, long e)
{
    uint32_t pid = (uint32_t)c;
    uint32_t host = d == PR_SCHED_CORE_SCOPE_PROCESS_GROUP_ ? exo_host_pgid(pid) : exo_host_of(pid);
    return on_host(PR_SCHED_CORE_, b, pid == 0 ? 0 : host == 0 ? NOBODY : (long)host, d, e);
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
        return get_no_new_privs(b, c, d, e);
    case PR_SET_MM:
        return set_mm(b, c, d, e);
    case PR_SCHED_CORE_:
        return sched_core(b, c, d, e);
    case PR_SET_MDWE_:
        return exo_mdwe_set((uint64_t)b, c, d, e);
    case PR_GET_MDWE_:
        return exo_mdwe_get(b, c, d, e);
    case PR_GET_TID_ADDRESS:
        return get_tid_address((uint64_t)b);
    case PR_SET_PTRACER:
        return set_ptracer(b, c, d, e);
    default:
        return on_host(a, b, c, d, e);
    }
}
