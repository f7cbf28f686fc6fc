/* Who a task is and whom it may signal: getpid(2), kill(2), setpgid(2), setsid(2) and kin. */
#include "process.h"
#include "pipe.h"
#include "robust.h"
#include "trace.h"
#include "translate.h"

SYSCALL(getpid)
{
    return (long)area()->tgid;
}

SYSCALL(gettid)
{
    return (long)area()->tid;
}

/* The parent as noted at birth while it lives; after that whoever the host gave us to. The kernel
 * process, which has no slot, lives as long as we do. */
SYSCALL(getppid)
{
    const struct exo_task *me = area()->leader;
    const struct exo_task *parent = &KR->tasks[me->parent_slot];
    if (me->parent_slot != 0 && parent->tid == me->ppid && exo_alive_test(parent))
        return (long)me->ppid;
    if (me->parent_slot == 0 && !(load_acquire(&me->flags) & EXO_TASK_ORPHANED))
        return 1;
    uint32_t tid = exo_tid_of((uint32_t)HOST_0(__NR_getppid));
    return tid != 0 ? (long)tid : 1; /* on the platform preload orphans leave the instance */
}

SYSCALL(getpgrp)
{
    return (long)area()->leader->pgid;
}

static uint32_t process_slot(int pid)
{
    if (pid == 0)
        return area()->task->leader_slot;
    uint32_t slot = exo_task_find(KR, (uint32_t)pid);
    return slot == 0 ? 0 : KR->tasks[slot].leader_slot;
}

SYSCALL(getpgid)
{
    if ((int)a == 1)
        return 1;
    uint32_t slot = process_slot((int)a);
    return slot == 0 ? -ESRCH : (long)KR->tasks[slot].pgid;
}

SYSCALL(getsid)
{
    if ((int)a == 1)
        return 1;
    uint32_t slot = process_slot((int)a);
    return slot == 0 ? -ESRCH : (long)KR->tasks[slot].sid;
}

/* A number is known a moment before its task exists (CLONE_PARENT_SETTID): its host process, or 0
 * if its maker dies first. To the host 0 would mean the caller's own group. */
static uint32_t await_birth(const struct exo_task *task)
{
    uint32_t host_tgid;
    while ((host_tgid = load_acquire(&task->host_tgid)) == 0 &&
           load_acquire(&task->state) == EXO_TASK_EMBRYO &&
           exo_alive_test(&KR->tasks[task->parent_slot]))
        HOST_0(__NR_sched_yield);
    return host_tgid;
}

SYSCALL(setpgid)
{
    int pid = (int)a, pgid = (int)b;
    if (pgid < 0 || (pgid == 0 && pid < 0))
        return -EINVAL;
    if (pid < 0)
        return -ESRCH;
    uint32_t slot = process_slot(pid);
    if (slot == 0 || await_birth(&KR->tasks[slot]) == 0)
        return -ESRCH;
    struct exo_task *task = &KR->tasks[slot];
    if (pgid == 0)
        pgid = (int)task->tgid;
    bool own = (uint32_t)pgid == task->tgid;
    uint32_t host_pgid = own ? task->host_tgid : exo_host_pgid((uint32_t)pgid);
    if (host_pgid == 0)
        return -EPERM;
    long result = HOST_2(__NR_setpgid, task->host_tgid, host_pgid);
    if (result == 0) {
        task->pgid = (uint32_t)pgid;
        task->host_pgid = host_pgid;
    }
    return result;
}

SYSCALL(setsid)
{
    struct exo_task *me = area()->leader;
    long result = HOST_0(__NR_setsid);
    if (result < 0)
        return result;
    me->sid = me->pgid = me->tgid;
    me->host_pgid = me->host_tgid;
    return (long)me->tgid;
}

/* The caller's real user id, which siginfo names. */
static uint32_t own_uid(void)
{
    struct exo_area *mine = area();
    if (!mine->uid_known)
        mine->uid = (uint32_t)HOST_0(__NR_getuid);
    mine->uid_known = 1;
    return mine->uid;
}

/* To the calling thread: needs no host call if a handler is to run. */
static long signal_self(int sig, int code)
{
    struct exo_area *mine = area();
    if (sig < 1 || sig > 64)
        return EXO_BY_HOST;
    struct k_siginfo info = {.signo = sig, .code = code};
    info.pid = (int32_t)mine->tgid;
    info.uid = own_uid();
    return exo_signal_self(&info);
}

/* Nobody else could take a signal to this process. */
static bool is_only_thread(void)
{
    const struct exo_area *mine = area();
    return exo_alone() && mine->task == mine->leader;
}

SYSCALL(setuid)
{
    area()->uid_known = 0;
    return exo_pass(a, b, c, d, e, f);
}

SYSCALL(setreuid)
{
    area()->uid_known = 0;
    return exo_pass(a, b, c, d, e, f);
}

SYSCALL(setresuid)
{
    area()->uid_known = 0;
    return exo_pass(a, b, c, d, e, f);
}

/* Signals one process; exo's init takes none, as a pid 1 without handlers. */
static long kill_slot(uint32_t slot, int sig)
{
    const struct exo_task *task = &KR->tasks[slot];
    uint32_t host_tgid = await_birth(task);
    if (host_tgid == 0)
        return -ESRCH;
    if (sig == SIGKILL_)
        return exo_robust_kill(task);
    if (sig == SIGSTOP_ || sig == SIGCONT_) {
        long error = exo_trace_stop_or_cont(&KR->tasks[slot], NULL, sig);
        if (error <= 0)
            return error;
    }
    return host_wait(__NR_kill, (long)host_tgid, sig, 0, 0, 0, 0);
}

/* Signals every process that fits; one success is enough. */
static long kill_many(uint32_t pgid, int sig)
{
    long result = -ESRCH;
    bool self = false;
    uint32_t mine = area()->task->leader_slot;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        const struct exo_task *task = &KR->tasks[i];
        if (task->state == EXO_TASK_FREE || !(task->flags & EXO_TASK_LEADER) ||
            task->host_tgid == 0 || (pgid != 0 && task->pgid != pgid))
            continue;
        if (i == mine) {
            self = pgid != 0; /* kill(-1) leaves the caller out; last, so that all others get it */
            continue;
        }
        long error = kill_slot(i, sig);
        if (error == 0 || result == -ESRCH)
            result = error;
    }
    return self ? kill_slot(mine, sig) : result;
}

SYSCALL(kill)
{
    int pid = (int)a, sig = (int)b;
    if (pid == (int)0x80000000)
        return -ESRCH;
    if (pid == 0 || pid < -1)
        return kill_many(pid == 0 ? area()->leader->pgid : (uint32_t)-pid, sig);
    if (pid == -1)
        return kill_many(0, sig);
    uint32_t slot = process_slot(pid);
    if (sig < 0 || sig > 64)
        return slot == 0 && pid != 1 ? -ESRCH : -EINVAL;
    if (pid == 1)
        return 0;
    if (slot == area()->slot && is_only_thread()) {
        long error = signal_self(sig, SI_USER_);
        if (error != EXO_BY_HOST)
            return error;
    }
    return slot == 0 ? -ESRCH : kill_slot(slot, sig);
}

static long to_thread(uint32_t tgid, int tid, struct exo_task **task)
{
    if (tid <= 0)
        return -EINVAL;
    uint32_t slot = exo_task_find(KR, (uint32_t)tid);
    if (slot == 0 || (tgid != 0 && KR->tasks[slot].tgid != tgid) || tid == 1 ||
        await_birth(&KR->tasks[slot]) == 0)
        return -ESRCH;
    *task = &KR->tasks[slot];
    return 0;
}

static long kill_thread(const struct exo_task *task, int sig)
{
    if (sig == SIGKILL_)
        return exo_robust_kill(&KR->tasks[task->leader_slot]);
    if (sig == SIGSTOP_ || sig == SIGCONT_) {
        struct exo_task *leader = &KR->tasks[task->leader_slot];
        long error = exo_trace_stop_or_cont(leader, &KR->tasks[task - KR->tasks], sig);
        if (error <= 0)
            return error;
    }
    if (task == area()->task) {
        long error = signal_self(sig, SI_TKILL_);
        if (error != EXO_BY_HOST)
            return error;
    }
    return HOST_3(__NR_tgkill, task->host_tgid, task->host_tid, sig);
}

SYSCALL(tkill)
{
    struct exo_task *task;
    long error = to_thread(0, (int)a, &task);
    return error ? error : kill_thread(task, (int)b);
}

SYSCALL(tgkill)
{
    struct exo_task *task;
    if ((int)a <= 0)
        return -EINVAL;
    long error = to_thread((uint32_t)a, (int)b, &task);
    return error ? error : kill_thread(task, (int)c);
}

#define SIGINFO_USED 48 /* bytes of siginfo_t with a meaning; the rest is read only if need be */

/* Bytes that no known kind of siginfo has must be 0. */
static long check_tail(uint64_t from, const struct k_siginfo *info)
{
    uint8_t tail[sizeof(*info) - SIGINFO_USED];
    if (info->code == SI_ASYNCNL_ || (info->code <= 0 && info->code >= SI_DETHREAD_))
        return 0;
    if (guest_read(tail, from + SIGINFO_USED, sizeof(tail)) != 0)
        return -EFAULT;
    for (size_t i = 0; i < sizeof(tail); i++)
        if (tail[i] != 0)
            return -E2BIG;
    return 0;
}

/* The guest's own siginfo: what it claims to be from the kernel may only go to itself. */
static long read_info(struct k_siginfo *info, uint64_t from, int sig, bool self)
{
    memset(info, 0, sizeof(*info));
    if (guest_read(info, from, SIGINFO_USED) != 0)
        return -EFAULT;
    long error = check_tail(from, info);
    if (error != 0)
        return error;
    info->signo = sig;
    if (!self && (info->code >= 0 || info->code == SI_TKILL_))
        return -EPERM;
    exo_siginfo_to_host(info);
    return 0;
}

SYSCALL(rt_sigqueueinfo)
{
    struct k_siginfo info;
    struct exo_task *task;
    long error = read_info(&info, (uint64_t)c, (int)b, (uint32_t)a == area()->tid);
    if (error == 0)
        error = to_thread(0, (int)a, &task);
    return error ? (error == -EINVAL ? -ESRCH : error)
                 : HOST_3(__NR_rt_sigqueueinfo, task->host_tgid, b, &info);
}

SYSCALL(rt_tgsigqueueinfo)
{
    struct k_siginfo info;
    struct exo_task *task;
    if ((int)a <= 0)
        return -EINVAL;
    long error = read_info(&info, (uint64_t)d, (int)c, (uint32_t)b == area()->tid);
    if (error == 0)
        error = to_thread((uint32_t)a, (int)b, &task);
    return error ? error
                 : HOST_4(__NR_rt_tgsigqueueinfo, task->host_tgid, task->host_tid, c, &info);
}

SYSCALL(pidfd_open)
{
    if ((int)a <= 0)
        return -EINVAL;
    return exo_fd_made(HOST_2(__NR_pidfd_open, exo_host_of_or_none((uint32_t)a), b), true);
}

SYSCALL(pidfd_send_signal)
{
    struct k_siginfo info;
    int pidfd = exo_fd_or_bad((int)a);
    if (c == 0 || guest_get(&info, c) != 0) /* the host has the errno */
        return HOST_4(__NR_pidfd_send_signal, pidfd, b, c, d);
    exo_siginfo_to_host(&info);
    return HOST_4(__NR_pidfd_send_signal, pidfd, b, &info, d);
}

/* DIFFERS: the target's fd numbers are only known for host files of the same table. */
SYSCALL(pidfd_getfd)
{
    int pidfd = exo_fd_or_bad((int)a);
    uint32_t slot = pidfd < 0 ? 0 : exo_slot_of_pidfd(pidfd);
    struct exo_fd *entry = slot == 0 ? NULL : exo_fd_at(KR, KR->tasks[slot].fd_table, (int)b);
    struct exo_fd at = entry == NULL ? (struct exo_fd){.host = -1} : exo_fd_now(entry);
    long host = HOST_3(__NR_pidfd_getfd, pidfd, at.host < 0 ? -1 : at.host, c);
    if (host >= 0 && (at.flags & EXO_FD_PIPE))
        exo_pipe_leave(at.stamp, (int)host);
    return exo_fd_made(host, true);
}

/* getpriority(2) and ioprio_get(2) name a process, a group or a user; 0 is the caller's. */
static long priority_who(int who, bool process, bool group)
{
    if (who <= 0 || (!process && !group))
        return who;
    uint32_t host = process ? exo_host_of((uint32_t)who) : exo_host_pgid((uint32_t)who);
    return host == 0 ? EXO_NO_HOST_PID : (long)host;
}

SYSCALL(getpriority)
{
    return HOST_2(__NR_getpriority, a, priority_who((int)b, (int)a == 0, (int)a == 1));
}

SYSCALL(setpriority)
{
    return HOST_3(__NR_setpriority, a, priority_who((int)b, (int)a == 0, (int)a == 1), c);
}

SYSCALL(ioprio_get)
{
    return HOST_2(__NR_ioprio_get, a, priority_who((int)b, (int)a == 1, (int)a == 2));
}

SYSCALL(ioprio_set)
{
    return HOST_3(__NR_ioprio_set, a, priority_who((int)b, (int)a == 1, (int)a == 2), c);
}
