/* The end of a thread or process: exit(2), exit_group(2). */
#include "futex.h"
#include "robust.h"
#include "signal.h"

void exo_thread_leave(void)
{
    struct exo_area *mine = area();
    exo_mask_block_all();
    exo_robust_release(mine->task);
    if (mine->task == mine->leader)
        fetch_or(&mine->task->flags, EXO_TASK_LEADER_EXITED);
    else {
        exo_pi_leave();
        /* The slot is given away now: the host must not find it on our robust list. */
        store_release(&exo_area_owners[mine->index].node, (uint64_t)&mine->core.robust.list);
        exo_task_free(KR, mine->slot);
        fetch_add(&exo_mm.tasks, (uint32_t)-1);
    }
}

SYSCALL(exit)
{
    exo_thread_leave();
    HOST_1(__NR_exit, a);
    __builtin_trap();
}

SYSCALL(exit_group)
{
    struct exo_area *mine = area();
    exo_mask_block_all();
    exo_robust_release_all();
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
