/* seccomp(2), and the options of prctl(2) by which a guest restricts its own system calls. What they
 * set is the task's, in the kernel region, and survives exec there; verdict.c goes by it.
 */
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "verdict.h"

#define CAP_SYS_ADMIN_BIT (1U << 21)
#define CAPABILITY_VERSION_3 0x20080522
#define PR_SYS_DISPATCH_INCLUSIVE_ON_ 2
#define USER_END 0x7ffffffff000UL

/* struct seccomp_notif, seccomp_notif_resp and seccomp_data, as the host's kernel has them. */
static const uint16_t notification_sizes[3] = {80, 24, 64};

/* struct sock_fprog. */
struct program {
    uint16_t count;
    uint64_t code;
};

static bool is_admin(void)
{
    struct {
        uint32_t version;
        int32_t pid;
    } header = {.version = CAPABILITY_VERSION_3};
    struct {
        uint32_t effective, permitted, inheritable;
    } sets[2] = {{0}};
    return HOST_2(__NR_capget, &header, sets) == 0 && (sets[0].effective & CAP_SYS_ADMIN_BIT);
}

static void watch_calls(void)
{
    fetch_or(&area()->observe, EXO_OBSERVE_FILTER);
}

static long set_strict(void)
{
    struct exo_task *task = area()->task;
    if (load_acquire(&task->filter) != 0)
        return -EINVAL;
    HOST_2(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV); /* as in Linux */
    fetch_or(&task->security, EXO_SECURITY_STRICT);
    watch_calls();
    return 0;
}

/* Reads the guest's code to scratch, which has room for it and for the checker's words behind. */
static long take_code(const struct program *program, struct exo_bpf *scratch, bool sync)
{
    if (guest_read(scratch, program->code, program->count * sizeof(*scratch)) != 0)
        return -EFAULT;
    int error = exo_bpf_check(scratch, program->count, (uint16_t *)(scratch + program->count));
    return error != 0 ? error : exo_filter_add(KR, area()->slot, scratch, program->count, sync);
}

static long add_filter(const struct program *program, bool sync)
{
    uint64_t size = program->count * (sizeof(struct exo_bpf) + sizeof(uint16_t));
    long scratch =
        HOST_6(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if (scratch < 0)
        return -ENOMEM;
    long result = take_code(program, (struct exo_bpf *)scratch, sync);
    HOST_2(__NR_munmap, scratch, size);
    return result;
}

/* DIFFERS: no SECCOMP_FILTER_FLAG_NEW_LISTENER: EINVAL, as on Linux before 5.0. */
static long set_filter(uint64_t flags, uint64_t from)
{
    const uint64_t known = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
                           SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    struct program program;
    bool sync = flags & SECCOMP_FILTER_FLAG_TSYNC;
    if (flags & ~known)
        return -EINVAL;
    if (guest_get(&program, from) != 0)
        return -EFAULT;
    if (program.count == 0 || program.count > EXO_FILTER_LENGTH_LIMIT)
        return -EINVAL;
    if (!(area()->task->security & EXO_SECURITY_NO_NEW_PRIVS) && !is_admin())
        return -EACCES;
    if (program.code == 0)
        return -EINVAL;
    long result = add_filter(&program, sync);
    if (result == 0)
        watch_calls();
    if (result == 0 && sync)
        exo_area_observe_siblings();
    return result > 0 && (flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH) ? -ESRCH : result;
}

static long is_available(uint64_t from)
{
    uint32_t action;
    if (guest_get(&action, from) != 0)
        return -EFAULT;
    switch (action) {
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
    case SECCOMP_RET_ERRNO:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_ALLOW:
        return 0;
    default: /* DIFFERS: SECCOMP_RET_USER_NOTIF among them, as nobody can listen */
        return -EOPNOTSUPP;
    }
}

SYSCALL(seccomp)
{
    uint32_t flags = (uint32_t)b;
    switch ((uint32_t)a) {
    case SECCOMP_SET_MODE_STRICT:
        return flags != 0 || c != 0 ? -EINVAL : set_strict();
    case SECCOMP_SET_MODE_FILTER:
        return set_filter(flags, (uint64_t)c);
    case SECCOMP_GET_ACTION_AVAIL:
        return flags != 0 ? -EINVAL : is_available((uint64_t)c);
    case SECCOMP_GET_NOTIF_SIZES:
        return flags != 0 ? -EINVAL : guest_put(c, &notification_sizes);
    default:
        return -EINVAL;
    }
}

long exo_seccomp_mode(void)
{
    return load_acquire(&area()->task->filter) != 0 ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
}

long exo_seccomp_set_mode(uint64_t mode, uint64_t program)
{
    return mode == SECCOMP_MODE_STRICT   ? set_strict()
           : mode == SECCOMP_MODE_FILTER ? set_filter(0, program)
                                         : -EINVAL;
}

static long switch_on(uint64_t start, uint64_t size, uint64_t selector)
{
    if (selector >= USER_END)
        return -EFAULT;
    area()->dispatch = (struct exo_dispatch){.start = start, .size = size, .selector = selector};
    fetch_or(&area()->observe, EXO_OBSERVE_DISPATCH);
    return 0;
}

long exo_dispatch_set(uint64_t mode, uint64_t start, uint64_t size, uint64_t selector)
{
    switch (mode) {
    case PR_SYS_DISPATCH_OFF:
        if (start != 0 || size != 0 || selector != 0)
            return -EINVAL;
        fetch_and(&area()->observe, ~(uint32_t)EXO_OBSERVE_DISPATCH);
        return 0;
    case PR_SYS_DISPATCH_ON:
        if (start != 0 && start + size <= start)
            return -EINVAL;
        return switch_on(start, size, selector);
    case PR_SYS_DISPATCH_INCLUSIVE_ON_: /* the complement, which wraps round */
        if (size == 0 || start + size <= start)
            return -EINVAL;
        return switch_on(start + size, -size, selector);
    default:
        return -EINVAL;
    }
}
