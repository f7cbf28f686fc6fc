/* The end of a traced task: its tracer is told first, and of a process's threads before the process.
 *
 * The tracer hears of an end before the host does, so the task waits until then: its slot, and its
 * parent's news of it, come after. A thread that has told stays asleep until its process ends.
 *
 * DIFFERS: a SIGKILL ends a process's threads without a word to its tracer about each; and a tracer
 * that is not the parent hears nothing of one from outside the instance.
 */
#include <linux/futex.h>

#include "trace.h"

static bool tracer_is_parent(const struct exo_task *task)
{
    const struct exo_task *leader = &KR->tasks[task->leader_slot];
    return task->tracer == leader->ppid && leader->parent_slot == exo_trace_of(task)->tracer_slot;
}

static bool is_other(const struct exo_task *task)
{
    const struct exo_area *mine = area();
    return task != mine->task && task->leader_slot == mine->task->leader_slot &&
           load_acquire(&task->state) == EXO_TASK_ALIVE && task->tracer != 0;
}

static int code_of(uint32_t status)
{
    return (status & 0x7f) == 0 ? CLD_EXITED_ : status & 0x80 ? CLD_DUMPED_ : CLD_KILLED_;
}

/* Until the tracer knows. */
static void report(uint32_t status)
{
    struct exo_task *task = area()->task;
    struct exo_trace *me = exo_trace_of(task);
    exo_lock_acquire(&KR->trace_lock);
    me->status = status;
    me->unreported = 1;
    store_release(&me->state, EXO_TRACE_EXITED);
    exo_trace_tell_locked(task, code_of(status), status & 0x7f ? status & 0x7f : status >> 8);
    exo_lock_release(&KR->trace_lock);
    if (!exo_trace_await(me)) {
        store_release(&me->state, EXO_TRACE_REAPED);
        HOST_3(__NR_futex, &me->state, FUTEX_WAKE, INT32_MAX);
    }
}

/* What a joining thread waits for: it need not wait for our tracer. */
static void clear_tid(void)
{
    uint32_t zero = 0;
    uint64_t at = exchange(&area()->clear_child_tid, 0);
    if (at == 0)
        return;
    HOST_1(__NR_set_tid_address, 0);
    if (guest_put(at, &zero) == 0)
        HOST_3(__NR_futex, at, FUTEX_WAKE, 1);
}

static void tell_of_end(uint32_t status)
{
    struct exo_stopped at;
    if (!exo_trace_wants(PTRACE_O_TRACEEXIT))
        return;
    exo_stopped_in_call(&at);
    exo_trace_event(&at, PTRACE_EVENT_EXIT, status);
    exo_stopped_go_on(&at);
}

/* Has the other traced threads end; true if there are any. */
static bool end_others(uint32_t status)
{
    struct exo_trace *first = exo_trace_of(area()->leader);
    uint32_t none = 0;
    bool any = false;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++)
        any |= is_other(&KR->tasks[i]);
    if (!any || !compare_exchange(&first->group_exit, &none, status | EXO_GROUP_EXITS))
        return any;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++)
        if (is_other(&KR->tasks[i]))
            exo_trace_call_tracee(&KR->tasks[i], EXO_WORK_EXIT);
    return true;
}

/* In the first thread: until the tracer knows of all the others. */
static void await_others(void)
{
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *task = &KR->tasks[i];
        struct exo_trace *its = exo_trace_of(task);
        while (is_other(task) && exo_alive_test(task)) {
            uint32_t state = load_acquire(&its->state);
            if (state == EXO_TRACE_REAPED)
                break;
            HOST_4(__NR_futex, &its->state, FUTEX_WAIT, state, 0);
        }
    }
}

/* The process's first thread ends it. */
static noreturn void stay(void)
{
    uint32_t word = 0;
    for (;;)
        HOST_4(__NR_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0);
}

void exo_trace_end(uint32_t status, bool group)
{
    const struct exo_area *mine = area();
    bool killed = (status & 0x7f) == SIGKILL_, first = mine->task == mine->leader;
    if (!mine->adopted)
        return;
    exo_trace_disarm();
    if (killed) {
        if (first && !tracer_is_parent(mine->task))
            report(status);
        return;
    }
    bool others = group && end_others(status);
    tell_of_end(status);
    if (!mine->adopted)
        return;
    if (!first) {
        clear_tid();
        report(status);
        if (others && mine->leader->tracer != 0 && !(mine->leader->flags & EXO_TASK_LEADER_EXITED))
            stay();
        return;
    }
    if (others)
        await_others();
    if (group && !tracer_is_parent(mine->task))
        report(status);
}

/* Another thread has ended the process. */
void exo_trace_end_with_group(void)
{
    const struct exo_area *mine = area();
    uint32_t status = exo_trace_of(mine->leader)->group_exit & ~EXO_GROUP_EXITS;
    exo_mask_block_all();
    if (mine->task != mine->leader)
        exo_trace_end(status, true);
    else if (status & 0x7f)
        exo_signal_kill_self((int)status & 0x7f);
    else
        exo_exit_group(status >> 8);
    stay();
}
