/* The end of a thread or process: exit(2), exit_group(2), and the robust futexes it leaves. */
#include <linux/futex.h>

#include "signal.h"

#define ROBUST_LIMIT 2048 /* as the host's ROBUST_LIST_LIMIT */

/* Marks the futex at address as left by a dead owner, as get_robust_list(2) has it. */
static void release_futex(uint64_t address, bool pending)
{
    uint32_t word;
    if ((address & 3) != 0 || guest_get(&word, address) != 0)
        return;
    if (pending && word == 0) {
        HOST_3(__NR_futex, address, FUTEX_WAKE, 1);
        return;
    }
    if ((word & FUTEX_TID_MASK) != area()->tid)
        return;
    /* A guest's word: a plain store would lose a waiter that marks itself meanwhile. */
    uint32_t died = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    while (!compare_exchange((uint32_t *)address, &word, died))
        died = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    if (word & FUTEX_WAITERS)
        HOST_3(__NR_futex, address, FUTEX_WAKE, 1);
}

static void release_robust_list(void)
{
    struct {
        uint64_t list;
        int64_t offset;
        uint64_t pending;
    } head;
    uint64_t start = area()->robust_list;
    if (start == 0 || guest_get(&head, start) != 0)
        return;
    uint64_t node = head.list, pending = head.pending & ~1UL;
    for (int i = 0; i < ROBUST_LIMIT && (node & ~1UL) != start; i++) {
        uint64_t at = node & ~1UL;
        if (guest_get(&node, at) != 0)
            break;
        if (at != pending)
            release_futex(at + (uint64_t)head.offset, false);
    }
    if (pending != 0)
        release_futex(pending + (uint64_t)head.offset, true);
}

SYSCALL(exit)
{
    struct exo_area *mine = area();
    exo_mask_block_all();
    release_robust_list();
    if (mine->task == mine->leader)
        fetch_or(&mine->task->flags, EXO_TASK_LEADER_EXITED);
    else
        exo_task_free(KR, mine->slot);
    HOST_1(__NR_exit, a);
    __builtin_trap();
}

SYSCALL(exit_group)
{
    struct exo_area *mine = area();
    exo_mask_block_all();
    release_robust_list();
    mine->leader->exit_code = (uint32_t)(a & 0xff) << 8;
    HOST_1(__NR_exit_group, a);
    __builtin_trap();
}

SYSCALL(set_tid_address)
{
    area()->clear_child_tid = (uint64_t)a;
    HOST_1(__NR_set_tid_address, a); /* cleared when the host is really done with the thread */
    return (long)area()->tid;
}

SYSCALL(set_robust_list)
{
    if (b != 24)
        return -EINVAL;
    area()->robust_list = (uint64_t)a;
    area()->task->robust_list = (uint64_t)a;
    return 0;
}

SYSCALL(get_robust_list)
{
    uint64_t size = 24;
    uint32_t slot = a == 0 ? area()->slot : exo_task_find(KR, (uint32_t)a);
    if (slot == 0)
        return a == 1 ? -EPERM : -ESRCH;
    if (guest_put(c, &size) != 0 || guest_put(b, &KR->tasks[slot].robust_list) != 0)
        return -EFAULT;
    return 0;
}
