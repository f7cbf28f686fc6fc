/* Becoming a tracee, and ceasing to be one: dispositions, patched code, what clone and exec pass on.
 *
 * While any of its tasks is traced, every signal of a process comes to the runtime, and its code is
 * what its file says: its system-call sites trap.
 */
#include <linux/prctl.h>

#include "robust.h"
#include "stub.h"
#include "trace.h"

HOT uint64_t exo_trace_traps;

/* The host's dispositions anew, for how many of the process's tasks are traced now. */
void exo_trace_divert(struct exo_sighand *hand, bool on)
{
    struct k_sigaction actions[64];
    for (int sig = 1; sig <= 64; sig++)
        actions[sig - 1] = exo_action_get(hand, sig);
    hand->traced = on;
    for (int sig = 1; sig <= 64; sig++)
        if (!(SIG_ALWAYS & SIG_BIT(sig)))
            exo_action_to_host(sig, &actions[sig - 1]);
}

static bool others_traced(void)
{
    const struct exo_area *mine = area();
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        const struct exo_task *task = &KR->tasks[i];
        if (task != mine->task && task->leader_slot == mine->task->leader_slot &&
            task->state == EXO_TASK_ALIVE && task->tracer != 0)
            return true;
    }
    return false;
}

/* A breakpoint must come to the runtime whatever the guest blocks. */
static void unblock_traps(void)
{
    uint64_t trap = SIG_BIT(SIGTRAP_);
    exo_trace_traps |= trap;
    area()->host_mask &= ~trap;
    HOST_4(__NR_rt_sigprocmask, SIG_UNBLOCK_, &trap, 0, 8);
}

/* at: where the task is, NULL for a new program. */
void exo_trace_adopt(struct exo_stopped *at)
{
    struct exo_area *mine = area();
    if (mine->adopted || mine->task->tracer == 0)
        return;
    mine->adopted = 1;
    mine->observe |= EXO_OBSERVE_TRACE;
    exo_trace_of(mine->task)->state = EXO_TRACE_RUNNING;
    if (at != NULL)
        exo_trace_of(mine->task)->resume = PTRACE_CONT;
    exo_robust_guard();
    if (!mine->sighand->traced)
        exo_trace_divert(mine->sighand, true);
    unblock_traps();
    exo_patch_undo();
    HOST_3(__NR_madvise, EXO_WINDOW_BASE, EXO_WINDOW_END - EXO_WINDOW_BASE, MADV_DONTDUMP_);
    HOST_5(__NR_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* for /proc/PID/mem */
    if (mine->xstate_format[0] == 0) { /* no signal has shown it to this thread yet */
        struct k_siginfo info = {.signo = EXO_CALLING, .code = EXO_SI_TRACE};
        HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid, EXO_CALLING,
               &info);
    }
}

/* Detached, or the tracer is dead. */
void exo_trace_leave_tracer(void)
{
    struct exo_area *mine = area();
    struct exo_trace *me = exo_trace_of(mine->task);
    exo_lock_acquire(&KR->trace_lock);
    const struct exo_task *tracer = &KR->tasks[me->tracer_slot];
    if (tracer->tid != mine->task->tracer || !exo_alive_test(tracer))
        mine->task->tracer = 0;
    exo_lock_release(&KR->trace_lock);
    if (mine->task->tracer != 0 && me->resume == PTRACE_DETACH)
        fetch_or(&me->work, EXO_WORK_ATTACH); /* somebody else's already */
    mine->adopted = mine->steps = 0;
    exo_trace_disarm();
    mine->observe &= ~(uint32_t)EXO_OBSERVE_TRACE;
    if (!others_traced() && mine->sighand->traced && !(mine->observe & EXO_OBSERVE_RECORD))
        exo_trace_divert(mine->sighand, false);
}

/* A new process, made by a traced one, that the tracer does not get. */
void exo_trace_unfollowed(void)
{
    exo_trace_divert(area()->sighand, false);
}
