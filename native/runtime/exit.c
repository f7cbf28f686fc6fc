/* The end of a thread or process: exit(2), exit_group(2). */
#include "companion.h"
#include "futex.h"
#include "legacy.h"
#include "nap.h"
#include "pipe.h"
#include "record.h"
#include "robust.h"
#include "trace.h"

/* The slot is about to be given away: the host must not find it on our robust list. */
static void forget_slot(const struct exo_area *mine)
{
    store_release(&exo_area_owners[mine->index].node, (uint64_t)&mine->core.robust.list);
}

/* The last thread of a process that nobody will wait for gives the slot back itself. */
static void leave_unreaped(const struct exo_area *mine)
{
    const struct exo_task *parent = &KR->tasks[mine->leader->parent_slot];
    if (mine->task != mine->leader || !exo_alone() || mine->leader->parent_slot == 0 ||
        parent->tid != mine->leader->ppid ||
        (load_relaxed(&parent->flags) & (EXO_TASK_AUTO_REAPS | EXO_TASK_HEARS)) !=
            EXO_TASK_AUTO_REAPS)
        return;
    forget_slot(mine);
    exo_task_free_process(KR, mine->slot);
}

static noreturn void end_group(uint32_t code)
{
    if (!exo_alone()) /* a lone thread only stashes what arrives now */
        exo_mask_block_all();
    exo_robust_release_all();
    area()->leader->exit_code = (code & 0xff) << 8;
    exo_pipe_close_all();
    leave_unreaped(area());
    HOST_1(__NR_exit_group, code);
    __builtin_trap();
}

noreturn void exo_exit_group(uint32_t code)
{
    exo_nap_pay();
    if (area()->adopted) {
        exo_mask_block_all();
        exo_trace_end((code & 0xff) << 8, true);
    }
    exo_trace_tracer_ends();
    exo_record_end((code & 0xff) << 8, true);
    if (exo_companion_reports())
        exo_legacy_report((code & 0xff) << 8);
    end_group(code);
}

void exo_thread_leave(void)
{
    struct exo_area *mine = area();
    exo_mask_block_all();
    exo_robust_release(mine->task);
    if (mine->task == mine->leader) {
        fetch_or(&mine->task->flags, EXO_TASK_LEADER_EXITED);
        leave_unreaped(mine);
    } else {
        exo_pi_leave();
        forget_slot(mine);
        exo_task_free(KR, mine->slot);
        fetch_add(&exo_mm.tasks, (uint32_t)-1);
    }
}

SYSCALL(exit)
{
    exo_nap_pay();
    exo_mask_block_all();
    if (area()->adopted) /* a last thread's end is the process's */
        exo_trace_end((uint32_t)(a & 0xff) << 8, exo_alone());
    exo_record_end((uint32_t)(a & 0xff) << 8, exo_alone());
    if (exo_alone() && exo_companion_reports())
        exo_legacy_report((uint32_t)(a & 0xff) << 8);
    exo_thread_leave();
    HOST_1(__NR_exit, a);
    __builtin_trap();
}

SYSCALL(exit_group)
{
    exo_exit_group((uint32_t)a);
}

SYSCALL(set_tid_address)
{
    area()->clear_child_tid = (uint64_t)a;
    HOST_1(__NR_set_tid_address, a); /* cleared when the host is really done with the thread */
    return (long)area()->tid;
}
