/* Tasks that a traced task makes: whether its tracer gets them too, and what it is told. */
#include <linux/futex.h>

#include "robust.h"
#include "trace.h"

#define NR_FUTEX_WAITV 449

/* The PTRACE_EVENT_ that making such a task is, if the tracer wants to know; else 0. */
static uint32_t event_of(uint64_t flags, uint64_t exit_signal)
{
    uint32_t event = flags & CLONE_VFORK_      ? PTRACE_EVENT_VFORK
                     : exit_signal != SIGCHLD_ ? PTRACE_EVENT_CLONE
                                               : PTRACE_EVENT_FORK;
    return !(flags & CLONE_UNTRACED_) && exo_trace_wants(1U << event) ? event : 0;
}

/* Before the task exists. */
uint32_t exo_trace_expect(uint32_t slot, uint64_t flags, uint64_t exit_signal)
{
    const struct exo_area *mine = area();
    struct exo_task *child = &KR->tasks[slot];
    if (!mine->adopted)
        return 0;
    if (flags & CLONE_VFORK_)
        child->flags |= EXO_TASK_VFORK_WATCHED;
    uint32_t event = event_of(flags, exit_signal);
    if (event == 0 && !(flags & CLONE_PTRACE_))
        return 0;
    const struct exo_trace *me = exo_trace_of(mine->task);
    struct exo_trace *its = exo_trace_of(child);
    struct k_siginfo stop = {.signo = SIGSTOP_, .code = SI_USER_};
    memset(its, 0, offsetof(struct exo_trace, regs));
    its->flags = me->flags & EXO_TRACE_SEIZED;
    its->options = me->options;
    its->tracer_slot = me->tracer_slot;
    its->work = EXO_WORK_ATTACH | (its->flags ? EXO_WORK_INTERRUPT : EXO_WORK_SIGSTOP);
    memcpy(its->stop_info, &stop, sizeof(stop));
    store_release(&child->tracer, mine->task->tracer);
    return event;
}

/* In the new task. */
void exo_trace_begin(void)
{
    struct exo_area *mine = area();
    bool own_actions = mine->owns_sighand || load_relaxed(&exo_mm.tasks) == 1;
    mine->adopted = mine->steps = mine->set_all = 0;
    exo_trace_disarm();
    fetch_and(&mine->pending, (uint8_t) ~(EXO_PENDING_LEAVE | EXO_PENDING_TRACE));
    if (mine->task->tracer != 0)
        fetch_or(&mine->pending, EXO_PENDING_TRACE);
    else if (own_actions && mine->sighand->traced && !(mine->observe & EXO_OBSERVE_RECORD))
        exo_trace_unfollowed();
}

/* In its maker, once it runs. */
void exo_trace_made(uint32_t event, uint64_t tid)
{
    struct exo_stopped at;
    if (event == 0 || !area()->adopted)
        return;
    exo_stopped_in_call(&at);
    at.regs.rax = (uint64_t)-ENOSYS;
    exo_trace_event(&at, event, tid);
    exo_stopped_go_on(&at);
}

/* As vfork(2) has it: until the child executes a program or dies. The host does not wait for it, so
 * that the tracer hears of the child before. */
void exo_trace_vfork(uint32_t event, uint32_t slot, uint32_t tid)
{
    struct exo_task *child = &KR->tasks[slot];
    uint64_t mask = exo_mask_block_all();
    exo_trace_made(event, tid);
    while (child->tid == tid) {
        uint32_t flags = load_acquire(&child->flags), word = load_acquire(&child->alive.word);
        if (!(flags & EXO_TASK_SHARES_VM) || (word & FUTEX_OWNER_DIED))
            break;
        if (word == 0) { /* not quite born */
            HOST_0(__NR_sched_yield);
            continue;
        }
        if (!(word & FUTEX_WAITERS) &&
            !compare_exchange(&child->alive.word, &word, word | FUTEX_WAITERS))
            continue;
        struct k_futex_waitv waits[2] = {
            {.value = flags, .address = (uint64_t)&child->flags, .flags = FUTEX2_SIZE_U32_},
            {.value = word | FUTEX_WAITERS,
             .address = (uint64_t)&child->alive.word,
             .flags = FUTEX2_SIZE_U32_}};
        if (HOST_5(NR_FUTEX_WAITV, waits, 2, 0, 0, 0) == -ENOSYS)
            HOST_0(__NR_sched_yield);
    }
    if (exo_trace_wants(PTRACE_O_TRACEVFORKDONE))
        exo_trace_made(PTRACE_EVENT_VFORK_DONE, tid);
    exo_mask_set(mask);
}

/* What a thread that executes a program leaves to the first one, whose number it takes. */
static void exchange_records(void)
{
    struct exo_area *mine = area();
    struct exo_trace *me = exo_trace_of(mine->task), *first = exo_trace_of(mine->leader);
    if (me == first)
        return;
    for (size_t i = 0; i < offsetof(struct exo_trace, info) / 4; i++) {
        uint32_t *a = (uint32_t *)me + i, *b = (uint32_t *)first + i;
        *a = exchange(b, *a);
    }
    mine->task->tracer = exchange(&mine->leader->tracer, mine->task->tracer);
}

/* From here to exo_trace_after_exec() a call for the tracee waits in its record. */
void exo_trace_before_exec(void)
{
    const struct exo_area *mine = area();
    exo_lock_acquire(&KR->trace_lock);
    fetch_or(&mine->leader->flags, EXO_TASK_EXECUTES);
    exo_lock_release(&KR->trace_lock);
    HOST_0(__NR_getpid); /* one that was sent before comes now at the latest */
    if (!mine->adopted && mine->leader->tracer == 0)
        return;
    exchange_records();
    exo_trace_of(mine->leader)->message = mine->tid;
}

static void leave_exec(void)
{
    exo_lock_acquire(&KR->trace_lock);
    fetch_and(&area()->leader->flags, ~(uint32_t)EXO_TASK_EXECUTES);
    exo_lock_release(&KR->trace_lock);
}

void exo_trace_after_failed_exec(void)
{
    struct exo_area *mine = area();
    if (mine->adopted || mine->leader->tracer != 0)
        exchange_records();
    if (mine->adopted)
        exo_robust_guard();
    leave_exec();
    if (mine->task->tracer != 0 && exo_trace_of(mine->task)->work != 0)
        fetch_or(&mine->pending, EXO_PENDING_TRACE);
}

/* In the new program. */
void exo_trace_after_exec(void)
{
    struct exo_area *mine = area();
    if (mine->task->flags & EXO_TASK_EXECUTES) /* the instance's first program is not executed */
        leave_exec();
    if (mine->task->tracer == 0)
        return;
    exo_trace_adopt(NULL);
    if (exo_trace_of(mine->task)->work != 0)
        fetch_or(&mine->pending, EXO_PENDING_TRACE);
}
