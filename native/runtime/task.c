/* A task's own settings: arch_prctl(2), and calls about tasks that exo limits: capget(2),
 * unshare(2), setns(2).
 */
#include "file.h"
#include "translate.h"

#define ARCH_SET_GS_ 0x1001
#define ARCH_SET_CPUID_ 0x1012
#define ARCH_GET_GS_ 0x1004
#define ARCH_SHSTK_FIRST 0x5001
#define ARCH_SHSTK_LAST 0x5005

SYSCALL(arch_prctl)
{
    uint64_t zero = 0;
    int option = (int)a;
    if (option == ARCH_GET_GS_)
        return guest_put(b, &zero);
    if (option ==
        ARCH_SET_GS_) /* DIFFERS: GS base is the runtime's: only 0, which it seems to be */
        return b == 0 ? 0 : -EPERM;
    if (option >= ARCH_SHSTK_FIRST &&
        option <= ARCH_SHSTK_LAST) /* DIFFERS: no shadow stacks: EINVAL */
        return -EINVAL;
    if (option == ARCH_SET_CPUID_ && b == 0) /* DIFFERS: cpuid cannot be made to fault: ENODEV */
        return -ENODEV;
    return HOST_2(__NR_arch_prctl, option, b);
}

/* The header of capget(2) and capset(2) names a thread. */
static long with_capabilities(long nr, uint64_t header, long data)
{
    struct {
        uint32_t version;
        int32_t pid;
    } own;
    if (guest_get(&own, header) != 0) /* the version may be readable, and wrong */
        return HOST_2(nr, header, data);
    if (own.pid > 0)
        own.pid = (int32_t)exo_host_of_or_none((uint32_t)own.pid);
    uint32_t version = own.version;
    long result = HOST_2(nr, &own, data);
    /* The host tells its version if it knows no other. */
    return own.version != version && guest_put(header, &own.version) != 0 ? -EFAULT : result;
}

SYSCALL(capget)
{
    return with_capabilities(__NR_capget, (uint64_t)a, b);
}

SYSCALL(capset)
{
    return with_capabilities(__NR_capset, (uint64_t)a, b);
}

#define CLONE_SYSVSEM_ 0x40000UL
#define UNSHARED                                                                                   \
    (CLONE_FILES_ | CLONE_FS_ | CLONE_SYSVSEM_ | CLONE_THREAD_ | CLONE_SIGHAND_ | CLONE_VM_)
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS_ | CLONE_NEWCGROUP_ | CLONE_NEWUTS_ | CLONE_NEWIPC_ | CLONE_NEWUSER_ |            \
     CLONE_NEWPID_ | CLONE_NEWNET_ | CLONE_NEWTIME_)
#define NS_GET_NSTYPE_ 0xb703

/* DIFFERS: no namespaces of the guest's own yet: EPERM; files and fs are really unshared. */
SYSCALL(unshare)
{
    uint64_t flags = (uint64_t)a;
    if (flags & ~(UNSHARED | NAMESPACES))
        return -EINVAL;
    if (flags & NAMESPACES)
        return -EPERM;
    if (flags & CLONE_FILES_) {
        long error = exo_fd_unshare();
        if (error != 0)
            return error;
    }
    return HOST_1(__NR_unshare, flags & ~CLONE_FILES_);
}

/* DIFFERS: no namespaces to enter: EPERM for an fd that stands for one or for a process. */
SYSCALL(setns)
{
    int host = exo_fd_host((int)a), flags = (int)b;
    if (host < 0)
        return -EBADF;
    long kind = HOST_3(__NR_ioctl, host, NS_GET_NSTYPE_, 0);
    if (kind > 0 || kind == -EBADF) /* O_PATH */
        return kind > 0 ? -EPERM : -EBADF;
    bool process = HOST_4(__NR_pidfd_send_signal, host, 0, 0, 0) != -EBADF;
    return process && flags != 0 && !((uint32_t)flags & ~NAMESPACES) ? -EPERM : -EINVAL;
}

#define KCMP_FILE_ 0
#define KCMP_EPOLL_TFD_ 7

/* The host fd behind a task's number; one that the host refuses if there is none. */
static long fd_of(uint32_t tid, long fd)
{
    uint32_t slot = exo_task_find(KR, tid);
    struct exo_fd *entry = slot == 0 || (uint64_t)fd > INT32_MAX
                               ? NULL
                               : exo_fd_at(KR, KR->tasks[slot].fd_table, (int)fd);
    return entry == NULL || entry->host < 0 ? -1 : entry->host;
}

SYSCALL(kcmp)
{
    struct {
        uint32_t epoll, fd, offset;
    } target;
    long one = exo_host_of_or_none((uint32_t)a), other = exo_host_of_or_none((uint32_t)b);
    if ((int)c == KCMP_FILE_)
        return HOST_5(__NR_kcmp, one, other, c, fd_of((uint32_t)a, d), fd_of((uint32_t)b, e));
    if ((int)c != KCMP_EPOLL_TFD_ || guest_get(&target, e) != 0)
        return HOST_5(__NR_kcmp, one, other, c, d, e);
    target.epoll = (uint32_t)fd_of((uint32_t)b, target.epoll);
    target.fd = (uint32_t)fd_of((uint32_t)b, target.fd);
    return HOST_5(__NR_kcmp, one, other, c, fd_of((uint32_t)a, d), &target);
}
