/* Resource limits: getrlimit(2), setrlimit(2), prlimit(2).
 *
 * RLIMIT_NOFILE bounds exo's own fd numbers and stands in the kernel region; host tasks have theirs
 * raised to the hard limit. The others are the host's; RLIMIT_AS is the host's less what the
 * runtime itself takes.
 */
#include "capability.h"
#include "translate.h"

#define RLIMIT_NOFILE_ 7
#define RLIMIT_AS_ 9
#define CAP_SYS_RESOURCE_ 24
#define INFINITE (~0UL)

struct limit {
    uint64_t soft, hard;
};

bool exo_capable(unsigned capability)
{
    struct {
        uint32_t version, pid;
    } head = {0x20080522, 0};
    uint32_t sets[6] = {0}; /* effective, permitted, inheritable: low words, then high words */
    return HOST_2(__NR_capget, &head, sets) == 0 && (sets[0] >> capability & 1);
}

/* The host allows as many fds as the guest may use now; it never gets fewer. */
static long raise_host(long host_pid, uint64_t hard)
{
    struct limit host;
    long error = HOST_4(__NR_prlimit64, host_pid, RLIMIT_NOFILE_, 0, &host);
    if (error != 0 || host.hard >= hard)
        return error;
    host = (struct limit){hard, hard};
    return HOST_4(__NR_prlimit64, host_pid, RLIMIT_NOFILE_, &host, 0);
}

static long limit_files(uint32_t leader, long host_pid, const struct limit *new, struct limit *old)
{
    struct exo_task *proc = &KR->tasks[leader];
    struct limit ignored;
    /* Whether the caller may touch that process at all is the host's to say. */
    long error = host_pid == 0 ? 0 : HOST_4(__NR_prlimit64, host_pid, RLIMIT_NOFILE_, 0, &ignored);
    if (error != 0)
        return error;
    *old = (struct limit){proc->nofile_soft, proc->nofile_hard};
    if (new == NULL)
        return 0;
    if (new->soft > new->hard)
        return -EINVAL;
    if (new->hard > EXO_FD_MAX_COUNT || (new->hard > old->hard && !exo_capable(CAP_SYS_RESOURCE_)))
        return -EPERM;
    if (new->hard > old->hard)
        error = raise_host(host_pid, new->hard);
    if (error == 0) {
        proc->nofile_soft = new->soft;
        proc->nofile_hard = new->hard;
    }
    return error;
}

static uint64_t with_own(uint64_t size)
{
    return size > INFINITE - EXO_OWN_SPACE(KR->size) ? INFINITE : size + EXO_OWN_SPACE(KR->size);
}

static uint64_t without_own(uint64_t size)
{
    return size == INFINITE || size < EXO_OWN_SPACE(KR->size) ? size
                                                              : size - EXO_OWN_SPACE(KR->size);
}

static long limit_host(int resource, long host_pid, struct limit *new, struct limit *old)
{
    bool space = resource == RLIMIT_AS_;
    if (space && new != NULL)
        *new = (struct limit){with_own(new->soft), with_own(new->hard)};
    long error = HOST_4(__NR_prlimit64, host_pid, resource, new, old);
    if (space)
        *old = (struct limit){without_own(old->soft), without_own(old->hard)};
    return error;
}

static long change(int pid, int resource, uint64_t new_at, uint64_t old_at)
{
    struct limit new, old = {0};
    uint32_t leader = area()->task->leader_slot;
    long host_pid = 0;
    if (new_at != 0 && guest_get(&new, new_at) != 0)
        return -EFAULT;
    if (pid != 0) {
        uint32_t slot = exo_task_find(KR, (uint32_t)pid);
        if (slot == 0)
            return pid == 1 ? -EPERM : -ESRCH;
        if (KR->tasks[slot].leader_slot != leader)
            host_pid = KR->tasks[slot].host_tid;
        leader = KR->tasks[slot].leader_slot;
    }
    struct limit *wanted = new_at == 0 ? NULL : &new;
    long error = resource == RLIMIT_NOFILE_ ? limit_files(leader, host_pid, wanted, &old)
                                            : limit_host(resource, host_pid, wanted, &old);
    if (error == 0 && old_at != 0 && guest_put(old_at, &old) != 0)
        return -EFAULT;
    return error;
}

SYSCALL(prlimit64)
{
    return change((int)a, (int)b, (uint64_t)c, (uint64_t)d);
}

SYSCALL(getrlimit)
{
    return b == 0 ? -EFAULT : change(0, (int)a, 0, (uint64_t)b);
}

SYSCALL(setrlimit)
{
    return b == 0 ? -EFAULT : change(0, (int)a, (uint64_t)b, 0);
}
