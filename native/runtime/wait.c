/* wait4(2), waitid(2): the host's, with pids translated and the slots of the reaped given back. */
#include "legacy.h"
#include "process.h"
#include "tracewait.h"
#include "translate.h"

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

/* The child's slot. Another thread may reap it before its parent has noted the host's pid. Of an orphan that has come to
 * us as its subreaper, and that we have just taken from the host, the kernel process may have freed it. */
static uint32_t slot_of_reaped(uint32_t host_pid)
{
    uint32_t slot = exo_task_find_host(KR, host_pid);
    for (int i = 0; i < PATIENCE && slot == 0; i++) {
        if (exo_alone() && exo_task_departed(KR, host_pid) != 0)
            return 0;
        HOST_0(__NR_sched_yield);
        slot = exo_task_find_host(KR, host_pid);
    }
    return slot;
}

static long reap(uint32_t host_pid, bool gone)
{
    uint32_t slot = slot_of_reaped(host_pid);
    uint32_t tid = slot == 0 ? exo_task_departed(KR, host_pid) : KR->tasks[slot].tid;
    if (tid == 0)
        return -ECHILD;
    if (gone && slot != 0) {
        exo_task_free_process(KR, slot);
        if (load_relaxed(&KR->left_behind))
            exo_ring(EXO_KERNEL_SLEEPING);
    }
    return (long)tid;
}

static bool traces(void)
{
    return unlikely(area()->leader->flags & EXO_TASK_TRACES);
}

static struct exo_wanted wanted_of_pid(int pid)
{
    if (pid == -1)
        return (struct exo_wanted){.type = P_ALL};
    if (pid > 0)
        return (struct exo_wanted){.type = P_PID, .id = (uint32_t)pid};
    return (struct exo_wanted){.type = P_PGID,
                               .id = pid == 0 ? area()->leader->pgid : (uint32_t)-pid};
}

/* wait4 of a process that traces; true with a tracee's news. */
static bool wait_traced(int pid, const struct exo_host_wait *host, int *status, long *result)
{
    struct exo_trace_news news;
    struct exo_wanted want = wanted_of_pid(pid);
    if (!exo_trace_wait(&want, host->args[2] | WEXITED_, &news, host, result))
        return false;
    *status = (int)news.status;
    *result = (long)news.tid;
    return true;
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
    struct exo_host_wait call = {
        .nr = __NR_wait4, .none = none, .args = {target, (long)&status, c, d ? (long)usage : 0}};
    long host, pid = 0;
    if (traces()) {
        memset(usage, 0, sizeof(usage));
        if (wait_traced((int)a, &call, &status, &host))
            pid = host;
    } else {
        host = none ? -ECHILD : host_wait(__NR_wait4, target, (long)&status, c, call.args[3], 0, 0);
    }
    if (host <= 0)
        return host;
    if (pid == 0)
        pid = reap((uint32_t)host, WIFEXITED(status) || WIFSIGNALED(status));
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

/* waitid of a process that traces: fills in info for a tracee, with its pid, and *traced. */
static long waitid_traced(int type, long id, const struct exo_host_wait *host,
                          struct k_siginfo *info, bool *traced)
{
    struct exo_trace_news news;
    struct exo_wanted want = {.type = type, .id = (uint32_t)id};
    long result = 0;
    if (type == P_PGID && id == 0)
        want.id = area()->leader->pgid;
    if (type == P_PIDFD)
        want.id = exo_slot_of_pidfd((int)host->args[1]);
    *traced = exo_trace_wait(&want, host->args[3], &news, host, &result);
    if (!*traced)
        return result;
    *info = (struct k_siginfo){.signo = SIGCHLD_, .code = news.code};
    info->pid = (int32_t)news.tid;
    info->status = (int32_t)news.value;
    return 0;
}

static long wait_id(long a, long b, struct k_siginfo *info, long d, uint64_t e)
{
    uint8_t usage[144];
    long id, result;
    bool traced = false;
    long error = host_id((int)a, (int)b, &id);
    if (error != 0 && !(error == -ECHILD && traces()))
        return error;
    struct exo_host_wait call = {.nr = __NR_waitid,
                                 .none = error != 0,
                                 .args = {a, id, (long)info, d, e == 0 ? 0 : (long)usage}};
    if (traces()) {
        memset(usage, 0, sizeof(usage));
        result = waitid_traced((int)a, b, &call, info, &traced);
    } else {
        result = host_wait(__NR_waitid, a, id, (long)info, d, call.args[4], 0);
    }
    if (result != 0 || info->pid == 0)
        return result;
    bool gone = info->code >= 1 && info->code <= 3 && !(d & WNOWAIT_); /* CLD_EXITED .. DUMPED */
    if (!traced)
        info->pid = (int32_t)reap((uint32_t)info->pid, gone);
    return e != 0 && guest_write(e, usage, sizeof(usage)) != 0 ? -EFAULT : 0;
}

/* As the host: six words of the siginfo are written, and zeros after an error too. */
SYSCALL(waitid)
{
    struct k_siginfo info;
    memset(&info, 0, sizeof(info));
    long result = wait_id(a, b, &info, (int)d, (uint64_t)e);
    if (c == 0 || result == -EXO_ERESTART || result == -EXO_ERESTARTNOHAND || result == -EFAULT)
        return result;
    int32_t words[3] = {info.signo, info.error, info.code};
    int32_t more[3] = {info.pid, (int32_t)info.uid, info.status};
    if (guest_put(c, &words) != 0 || guest_put(c + 16, &more) != 0)
        return -EFAULT;
    return result;
}
