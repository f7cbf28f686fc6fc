/* wait4(2), waitid(2): the host's, with pids translated and the slots of the reaped given back. */
#include "legacy.h"
#include "translate.h"

#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3
#define WNOWAIT_ 0x01000000
#define WAIT4_OPTIONS 0xe000000b /* WNOHANG, WUNTRACED, WCONTINUED, __WNOTHREAD, __WALL, __WCLONE */
#define WIFEXITED(status) (((status)&0x7f) == 0)
#define WIFSIGNALED(status) (((status)&0x7f) != 0 && ((status)&0x7f) != 0x7f)

/* -1 and 0 as they are, a pid or negative pgid translated; 0x80000000 when there is no such. */
static long host_target(int pid, bool *none)
{
    *none = false;
    if (pid == -1 || pid == 0)
        return pid;
    uint32_t host = pid > 0 ? exo_host_of((uint32_t)pid) : exo_host_pgid((uint32_t)-pid);
    *none = host == 0 || pid == 1;
    return pid > 0 ? (long)host : -(long)host;
}

#define PATIENCE 10000 /* yields: by then the thread that made the child has run */

/* The child's slot. Another thread may reap it before its parent has noted the host's pid. */
static uint32_t slot_of_reaped(uint32_t host_pid)
{
    uint32_t slot = 0;
    for (int i = 0; i < PATIENCE && slot == 0; i++) {
        slot = exo_task_find_host(KR, host_pid);
        if (slot == 0)
            HOST_0(__NR_sched_yield);
    }
    return slot;
}

static long reap(uint32_t host_pid, bool gone)
{
    uint32_t slot = slot_of_reaped(host_pid);
    if (slot == 0)
        return -ECHILD;
    uint32_t tid = KR->tasks[slot].tid;
    if (gone) {
        exo_task_free_process(KR, slot);
        if (load_relaxed(&KR->left_behind))
            exo_ring(EXO_KERNEL_SLEEPING);
    }
    return (long)tid;
}

SYSCALL(wait4)
{
    bool none;
    int status = 0;
    uint8_t usage[144];
    if ((uint32_t)c & ~WAIT4_OPTIONS)
        return -EINVAL;
    if ((int)a == (int)0x80000000)
        return -ESRCH;
    long target = host_target((int)a, &none);
    if (none)
        return -ECHILD;
    long host = host_wait(__NR_wait4, target, (long)&status, c, d == 0 ? 0 : (long)usage, 0, 0);
    if (host <= 0)
        return host;
    long pid = reap((uint32_t)host, WIFEXITED(status) || WIFSIGNALED(status));
    if ((b != 0 && guest_put(b, &status) != 0) ||
        (d != 0 && guest_write((uint64_t)d, usage, sizeof(usage)) != 0))
        return -EFAULT;
    return pid;
}

static long host_id(int type, long id, long *host)
{
    bool none = false;
    *host = id;
    if (type == P_PID)
        *host = id > 0 ? host_target((int)id, &none) : id;
    if (type == P_PGID && id > 0)
        none = (*host = exo_host_pgid((uint32_t)id)) == 0;
    if (type == P_PIDFD)
        *host = exo_fd_or_bad((int)id);
    return none ? -ECHILD : 0;
}

static long wait_id(long a, long b, struct k_siginfo *info, long d, uint64_t e)
{
    uint8_t usage[144];
    long id;
    long error = host_id((int)a, (int)b, &id);
    if (error != 0)
        return error;
    long result = host_wait(__NR_waitid, a, id, (long)info, d, e == 0 ? 0 : (long)usage, 0);
    if (result != 0 || info->pid == 0)
        return result;
    bool gone = info->code >= 1 && info->code <= 3 && !(d & WNOWAIT_); /* CLD_EXITED .. DUMPED */
    info->pid = (int32_t)reap((uint32_t)info->pid, gone);
    return e != 0 && guest_write(e, usage, sizeof(usage)) != 0 ? -EFAULT : 0;
}

/* As the host: six words of the siginfo are written, and zeros after an error too. */
SYSCALL(waitid)
{
    struct k_siginfo info;
    memset(&info, 0, sizeof(info));
    long result = wait_id(a, b, &info, (int)d, (uint64_t)e);
    if (c == 0 || result == -EXO_ERESTART || result == -EFAULT)
        return result;
    int32_t words[3] = {info.signo, info.error, info.code};
    int32_t more[3] = {info.pid, (int32_t)info.uid, info.status};
    if (guest_put(c, &words) != 0 || guest_put(c + 16, &more) != 0)
        return -EFAULT;
    return result;
}
