/* Robust futexes, get_robust_list(2): the host would mark those a dead thread owned, did their words
 * hold the host's tid. They hold exo's, so the runtime does it: at exit, at exec, and before a
 * signal kills the process. For the latter, default actions that kill go through the runtime once a
 * process has writable shared memory (only there does anybody outlive it), and kill(2) with SIGKILL
 * asks such a process to die by its own hand.
 *
 * DIFFERS: a SIGKILL from outside the instance, or from the host's out-of-memory killer, marks
 * nothing.
 */
#include <linux/futex.h>

#include "robust.h"

#define ROBUST_LIMIT 2048 /* as the host's ROBUST_LIST_LIMIT */
#define FATAL_COUNT (sizeof(fatal) / sizeof(fatal[0]))

/* Signals whose default is death and that do not come to the runtime anyway; and SIGRTMIN up. */
static const uint8_t fatal[] = {1,  2,  3,  4,  5,  6,  8,  10, 12, 13,
                                14, 15, 16, 24, 25, 26, 27, 29, 30};

/* Marks the futex at address as left by a dead owner, as get_robust_list(2) has it. */
static void release_futex(uint64_t address, uint32_t tid, bool pending)
{
    uint32_t word;
    if ((address & 3) != 0 || guest_get(&word, address) != 0)
        return;
    if (pending && word == 0) {
        HOST_3(__NR_futex, address, FUTEX_WAKE, 1);
        return;
    }
    if ((word & FUTEX_TID_MASK) != tid)
        return;
    /* A guest's word: a plain store would lose a waiter that marks itself meanwhile. */
    long error;
    while ((error = guest_exchange(address, &word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) > 0)
        ;
    if (error < 0)
        return;
    if (word & FUTEX_WAITERS)
        HOST_3(__NR_futex, address, FUTEX_WAKE, 1);
}

void exo_robust_release(struct exo_task *task)
{
    struct {
        uint64_t list;
        int64_t offset;
        uint64_t pending;
    } head;
    uint64_t start = exchange(&task->robust_list, 0);
    if (start == 0 || guest_get(&head, start) != 0)
        return;
    uint64_t node = head.list, pending = head.pending & ~1UL;
    for (int i = 0; i < ROBUST_LIMIT && (node & ~1UL) != start; i++) {
        uint64_t at = node & ~1UL;
        if (guest_get(&node, at) != 0)
            break;
        if (at != pending)
            release_futex(at + (uint64_t)head.offset, task->tid, false);
    }
    if (pending != 0)
        release_futex(pending + (uint64_t)head.offset, task->tid, true);
}

/* For the whole process; other threads may still run, but are about to die with it. */
void exo_robust_release_all(void)
{
    uint32_t leader = area()->task->leader_slot;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *task = &KR->tasks[i];
        if (task->leader_slot == leader && task->state == EXO_TASK_ALIVE)
            exo_robust_release(task);
    }
}

bool exo_robust_guards(int sig)
{
    bool deadly = sig >= 32;
    for (size_t i = 0; i < FATAL_COUNT; i++)
        deadly |= fatal[i] == sig;
    return deadly && (area()->leader->flags & EXO_TASK_SHARES_MEMORY);
}

/* From now on others may share futexes with this process. */
void exo_robust_guard(void)
{
    struct exo_area *mine = area();
    if (mine->leader->flags & EXO_TASK_SHARES_MEMORY)
        return;
    fetch_or(&mine->leader->flags, EXO_TASK_SHARES_MEMORY);
    for (int sig = 1; sig <= 64; sig++) {
        struct k_sigaction action = exo_action_get(mine->sighand, sig);
        if (action.handler == SIG_DFL_ && exo_robust_guards(sig))
            exo_action_to_host(sig, &action);
    }
}

/* SIGKILL to a process of the instance: it marks its futexes and dies; a stopped one goes on to. */
long exo_robust_kill(const struct exo_task *leader)
{
    struct k_siginfo info = {.signo = SIGSYS_, .code = EXO_SI_DIE};
    if (!(leader->flags & EXO_TASK_SHARES_MEMORY))
        return HOST_2(__NR_kill, leader->host_tgid, SIGKILL_);
    long error = HOST_3(__NR_rt_sigqueueinfo, leader->host_tgid, SIGSYS_, &info);
    if (error == 0) /* an orphan may be dead and reaped by now */
        HOST_2(__NR_kill, leader->host_tgid, SIGCONT_);
    return error;
}

SYSCALL(set_robust_list)
{
    if (b != 24)
        return -EINVAL;
    area()->task->robust_list = (uint64_t)a;
    return 0;
}

SYSCALL(get_robust_list)
{
    uint64_t size = 24;
    int pid = (int)a;
    uint32_t slot = pid == 0 ? area()->slot : exo_task_find(KR, (uint32_t)pid);
    if (slot == 0)
        return pid == 1 ? -EPERM : -ESRCH;
    if (guest_put(c, &size) != 0 || guest_put(b, &KR->tasks[slot].robust_list) != 0)
        return -EFAULT;
    return 0;
}
