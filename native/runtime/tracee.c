/* The tracee's side of ptrace(2): stopping, and doing what a tracer has asked for.
 *
 * Rules: a stop is published under trace_lock. The tracee sleeps on its record's state, and on the
 * tracer's alive word too, which the host wakes when the tracer dies: then it goes on untraced.
 */
#include <linux/futex.h>

#include "legacy.h"
#include "record.h"
#include "robust.h"
#include "trace.h"

#define NR_FUTEX_WAITV 449

static struct exo_trace *mine_trace(void)
{
    return exo_trace_of(area()->task);
}

bool exo_trace_wants(uint32_t option)
{
    return area()->adopted && (mine_trace()->options & option);
}

bool exo_trace_steps(void)
{
    uint32_t how = mine_trace()->resume;
    return area()->adopted && (how == PTRACE_SINGLESTEP || how == PTRACE_SYSEMU_SINGLESTEP);
}

void exo_trace_queue(int sig)
{
    HOST_3(__NR_tgkill, area()->leader->host_tgid, area()->core.host_tid, sig);
}

/* Calls the task with that code, unless the process is in the middle of an exec, after which it looks. */
long exo_trace_signal_locked(const struct exo_task *task, int code)
{
    struct k_siginfo info = {.signo = EXO_CALLING, .code = code};
    if (load_relaxed(&KR->tasks[task->leader_slot].flags) & EXO_TASK_EXECUTES)
        return 0;
    return HOST_4(__NR_rt_tgsigqueueinfo, task->host_tgid, task->host_tid, EXO_CALLING, &info);
}

/* Has the task look into its record. */
void exo_trace_call_tracee(struct exo_task *task, uint32_t work)
{
    fetch_or(&exo_trace_of(task)->work, work);
    HOST_3(__NR_futex, &exo_trace_of(task)->work, FUTEX_WAKE, 1); /* it may be listening */
    exo_lock_acquire(&KR->trace_lock);
    exo_trace_signal_locked(task, EXO_SI_TRACE);
    exo_lock_release(&KR->trace_lock);
}

/* Wakes the tracer's threads that sleep in wait4 or waitid, and sends it SIGCHLD. */
void exo_trace_tell_locked(const struct exo_task *task, int code, uint32_t status)
{
    struct k_siginfo info = {.signo = SIGCHLD_, .code = EXO_SI_CHILD - code};
    uint32_t leader = exo_trace_of(task)->tracer_slot;
    bool refused = false;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *waiter = &KR->tasks[i];
        if (waiter->leader_slot != leader || !waiter->trace_waits)
            continue;
        if (exo_trace_signal_locked(waiter, EXO_SI_WAKE) == -EPERM)
            refused = true;
        else
            waiter->trace_waits = 0;
    }
    info.pid = (int32_t)task->tid;
    info.uid = (uint32_t)HOST_0(__NR_getuid);
    info.status = (int32_t)status;
    const struct exo_task *tracer = &KR->tasks[leader];
    if (!(tracer->flags & EXO_TASK_NO_CHILD_STOPS) || code <= CLD_DUMPED_)
        refused |= HOST_3(__NR_rt_sigqueueinfo, tracer->host_tgid, SIGCHLD_, &info) == -EPERM;
    if (refused)
        exo_legacy_tell_tracer(info.code, status, info.uid);
}

static bool is_alive(const struct exo_task *tracer, uint32_t pid)
{
    bool first_left = (tracer->flags & EXO_TASK_LEADER_EXITED) && tracer->state != EXO_TASK_FREE;
    return pid != 0 && tracer->tid == pid && (first_left || exo_alive_test(tracer));
}

/* Sleeps until the state moves on or the tracer dies. */
static void sleep_on(struct exo_trace *me, uint32_t state, uint32_t work, struct exo_task *tracer)
{
    uint32_t word = load_acquire(&tracer->alive.word);
    if (!(word & FUTEX_WAITERS) && word != 0 && !(word & FUTEX_OWNER_DIED) &&
        compare_exchange(&tracer->alive.word, &word, word | FUTEX_WAITERS))
        word |= FUTEX_WAITERS;
    struct k_futex_waitv waits[3] = {
        {.value = state, .address = (uint64_t)&me->state, .flags = FUTEX2_SIZE_U32_},
        {.value = work, .address = (uint64_t)&me->work, .flags = FUTEX2_SIZE_U32_},
        {.value = word, .address = (uint64_t)&tracer->alive.word, .flags = FUTEX2_SIZE_U32_}};
    if (HOST_5(NR_FUTEX_WAITV, waits, 3, 0, 0, 0) == -ENOSYS)
        HOST_4(__NR_futex, &me->state, FUTEX_WAIT, state, 0);
}

/* LISTENING ends when there is work to do. */
bool exo_trace_await(struct exo_trace *me)
{
    struct exo_task *tracer = &KR->tasks[me->tracer_slot];
    uint32_t pid = load_acquire(&area()->task->tracer), state;
    while ((state = load_acquire(&me->state)) == EXO_TRACE_STOPPED ||
           state == EXO_TRACE_LISTENING || state == EXO_TRACE_EXITED) {
        if (!is_alive(tracer, pid)) {
            HOST_3(__NR_futex, &tracer->alive.word, FUTEX_WAKE, INT32_MAX); /* it wakes one only */
            return false;
        }
        uint32_t work = load_acquire(&me->work);
        if (state == EXO_TRACE_LISTENING && (work & (EXO_WORK_INTERRUPT | EXO_WORK_CONTINUED)))
            return true;
        sleep_on(me, state, work, tracer);
    }
    return true;
}

/* The tracer is gone without a word. */
static void go_on_alone(struct exo_trace *me)
{
    if (me->options & PTRACE_O_EXITKILL)
        exo_signal_kill_self(SIGKILL_);
    exo_trace_leave_tracer();
}

static uint32_t trap_code(uint32_t code)
{
    return (int)code == SIGSTOP_ ? CLD_STOPPED_ : CLD_TRAPPED_;
}

int exo_trace_stop(struct exo_stopped *at, uint32_t code, const struct k_siginfo *info)
{
    struct exo_area *mine = area();
    struct exo_trace *me = mine_trace();
    uint32_t pid = load_acquire(&mine->task->tracer);
    int passed = code < 0x80 ? (int)code : 0;
    if (!mine->adopted || !is_alive(&KR->tasks[me->tracer_slot], pid)) {
        if (mine->adopted)
            go_on_alone(me);
        return passed;
    }
    exo_trace_publish(me, at);
    memcpy(me->info, info, sizeof(me->info));
    me->signal = (uint32_t)passed;
    exo_lock_acquire(&KR->trace_lock);
    me->status = code << 8 | 0x7f;
    me->unreported = 1;
    store_release(&me->state, EXO_TRACE_STOPPED);
    exo_trace_tell_locked(mine->task, (int)trap_code(code), code & 0x7f);
    exo_lock_release(&KR->trace_lock);
    if (!exo_trace_await(me)) {
        store_release(&me->state, EXO_TRACE_RUNNING);
        go_on_alone(me);
        return me->unreported ? passed : 0; /* what was waited for is the tracer's, and lost */
    }
    me->flags &= ~(uint32_t)EXO_TRACE_GROUP_STOP;
    store_release(&me->state, EXO_TRACE_RUNNING); /* may have been listening */
    exo_trace_take_back(me, at);
    if (me->resume == PTRACE_DETACH)
        exo_trace_leave_tracer();
    mine->steps = exo_trace_steps();
    mine->set_all |= mine->steps;
    return (int)me->signal;
}

static struct k_siginfo own_info(int sig, int code)
{
    struct k_siginfo info = {.signo = sig, .code = code};
    info.pid = (int32_t)area()->tid;
    info.uid = (uint32_t)HOST_0(__NR_getuid);
    return info;
}

/* A signal given at such a stop is queued, as the host does. */
int exo_trace_event(struct exo_stopped *at, uint32_t event, uint64_t message)
{
    struct exo_trace *me = mine_trace();
    struct k_siginfo info = own_info(SIGTRAP_, (int)EVENT(event));
    me->message = message;
    me->call_stop = PTRACE_SYSCALL_INFO_NONE;
    int sig = exo_trace_stop(at, EVENT(event), &info);
    if (sig != 0)
        exo_trace_queue(sig);
    return sig;
}

int exo_trace_signal(struct exo_stopped *at, int sig, struct k_siginfo *info)
{
    struct exo_trace *me = mine_trace();
    if (!area()->adopted)
        return sig;
    me->call_stop = PTRACE_SYSCALL_INFO_NONE;
    int got = exo_trace_stop(at, (uint32_t)sig, info);
    if (got == 0 || got > 64)
        return 0;
    memcpy(info, me->info, sizeof(*info));
    if (got != info->signo) { /* another one: it comes from the tracer */
        *info = own_info(got, SI_USER_);
        info->pid = (int32_t)area()->task->tracer;
    }
    if (got != sig && ((at->mask & ~SIG_ALWAYS) & SIG_BIT(got))) {
        exo_trace_queue(got);
        return 0;
    }
    return got;
}

/* The other traced threads of the process stop too. */
static void spread_group_stop(int sig)
{
    const struct exo_area *mine = area();
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *task = &KR->tasks[i];
        if (task == mine->task || task->leader_slot != mine->task->leader_slot ||
            task->state != EXO_TASK_ALIVE || task->tracer == 0)
            continue;
        exo_trace_of(task)->group_signal = (uint32_t)sig;
        exo_trace_call_tracee(task, EXO_WORK_GROUP_STOP);
    }
}

static void join_group_stop(struct exo_stopped *at, int sig)
{
    struct exo_trace *me = mine_trace();
    bool seized = me->flags & EXO_TRACE_SEIZED;
    struct k_siginfo info = own_info(sig, sig | PTRACE_EVENT_STOP << 8);
    me->call_stop = PTRACE_SYSCALL_INFO_NONE;
    me->flags |= EXO_TRACE_GROUP_STOP;
    uint32_t code = (uint32_t)sig | (seized ? PTRACE_EVENT_STOP << 8 : 0);
    exo_trace_stop(at, code, &info);
}

/* The default action of a stopping signal. DIFFERS: while it is traced, its own parent does not see
 * a process stop. */
void exo_trace_group_stop(struct exo_stopped *at, int sig)
{
    spread_group_stop(sig);
    join_group_stop(at, sig);
}

static void stop_for_sigstop(struct exo_stopped *at, struct exo_trace *me)
{
    struct k_siginfo info;
    memcpy(&info, me->stop_info, sizeof(info));
    int sig = exo_trace_signal(at, SIGSTOP_, &info);
    if (sig == SIGSTOP_ && area()->adopted)
        exo_trace_group_stop(at, sig);
    else if (sig != 0)
        exo_trace_queue(sig);
}

/* PTRACE_EVENT_STOP. */
static void interrupt(struct exo_stopped *at, struct exo_trace *me)
{
    struct k_siginfo info = own_info(SIGTRAP_, SIGTRAP_ | PTRACE_EVENT_STOP << 8);
    me->call_stop = PTRACE_SYSCALL_INFO_NONE;
    exo_trace_stop(at, SIGTRAP_ | PTRACE_EVENT_STOP << 8, &info);
}

void exo_trace_do_work(struct exo_stopped *at)
{
    struct exo_trace *me = mine_trace();
    uint32_t work = exchange(&me->work, 0);
    if (area()->adopted && area()->task->tracer == 0)
        exo_trace_leave_tracer();
    if (work & EXO_WORK_ATTACH)
        exo_trace_adopt(at);
    if (work & EXO_WORK_RECORD)
        exo_record_change();
    if (work & EXO_WORK_EXIT)
        exo_trace_end_with_group();
    if (work & EXO_WORK_SIGSTOP)
        stop_for_sigstop(at, me);
    if ((work & EXO_WORK_GROUP_STOP) && area()->adopted)
        join_group_stop(at, (int)me->group_signal);
    if ((work & (EXO_WORK_INTERRUPT | EXO_WORK_CONTINUED)) && area()->adopted)
        interrupt(at, me);
}
