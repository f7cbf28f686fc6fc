/* Delivery of signals: from the host to the guest.
 *
 * A signal that finds the thread in guest code is delivered at once; one that finds it in the
 * runtime is stashed, everything is blocked (so there is never a second), and exo_exit_work()
 * delivers it on the way out. One that only the guest has blocked waits (sigmask.c).
 */
#include "record.h"
#include "robust.h"
#include "stub.h"
#include "trace.h"
#include "translate.h"

extern const char exo_recheck[], exo_exit_end[], exo_slow_exit[];
extern const char exo_full_recheck[], exo_full_end[], exo_full_slow[];
extern const char host_wait_check[], host_wait_syscall[], host_wait_abort[];
extern const char host_sigreturn_check[], host_sigreturn_syscall[], host_sigreturn_abort[];
extern const char __executable_start[], etext[];

#define CODE_SEGMENT 0x33
#define STACK_SEGMENT 0x2b
/* Off in a handler, as the host has it: the direction flag too. */
#define CLEARED_FLAGS (0x400UL | EXO_TRAP_FLAG)

static bool in_runtime(uint64_t rip)
{
    return rip >= (uint64_t)__executable_start && rip < (uint64_t)etext;
}

/* What others are to learn of the process's end. A forked child that is killed before it has taken
 * its own slot, and a process that has given its slot back, has nothing to tell. */
static void tell_end(int sig, long host_tgid)
{
    if (area()->leader->host_tgid != host_tgid)
        return;
    if (area()->adopted)
        exo_trace_end((uint32_t)sig, true);
    exo_trace_tracer_ends();
    exo_robust_release_all();
}

/* Dies of sig as the host's default action has it: status, core dump flag and all. */
noreturn void exo_signal_kill_self(int sig)
{
    struct k_sigaction none = {0};
    uint64_t mask = 0;
    long host_tgid = HOST_0(__NR_getpid);
    tell_end(sig, host_tgid);
    exo_record_end((uint32_t)sig, true);
    exo_host_sigaction(sig, &none, NULL);
    HOST_3(__NR_tgkill, host_tgid, HOST_0(__NR_gettid), sig);
    HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &mask, 0, 8);
    HOST_1(__NR_exit_group, 128 + sig); /* only if the signal does not kill */
    __builtin_trap();
}

static bool is_fault(int sig, const struct k_siginfo *info)
{
    uint64_t faults = SIG_BIT(SIGSEGV_) | SIG_BIT(SIGBUS_) | SIG_BIT(SIGILL_) | SIG_BIT(SIGFPE_) |
                      SIG_BIT(SIGTRAP_);
    return (faults & SIG_BIT(sig)) && info->code > 0;
}

static uint64_t mask_in_handler(uint64_t mask, int sig, const struct k_sigaction *action)
{
    mask |= action->mask & ~SIG_ALWAYS;
    return action->flags & SA_NODEFER_ ? mask : mask | SIG_BIT(sig);
}

/* Takes the action for one delivery; SA_RESETHAND falls back to the default. */
static struct k_sigaction take_action(int sig)
{
    struct exo_sighand *hand = area()->sighand;
    struct k_sigaction action = exo_action_get(hand, sig);
    if ((action.flags & SA_RESETHAND_) && action.handler > SIG_IGN_) {
        hand->actions[sig - 1].handler = SIG_DFL_;
        exo_action_to_host(sig, &hand->actions[sig - 1]);
    }
    return action;
}

static void remember_xstate(const struct k_ucontext *uc)
{
    memcpy(area()->xstate_format, (const char *)uc->mcontext.fpstate + 464, 48);
}

/* The frame did not fit: a SIGSEGV instead, if its handler can run. Source: force_sigsegv(). */
static void push_segv(struct exo_regs *regs, const struct exo_delivery *what, uint64_t mask)
{
    struct k_siginfo info = {.signo = SIGSEGV_, .code = SI_KERNEL_};
    struct k_sigaction action = take_action(SIGSEGV_);
    if (what->sig == SIGSEGV_ || action.handler <= SIG_IGN_ || (mask & SIG_BIT(SIGSEGV_)))
        exo_signal_kill_self(SIGSEGV_);
    struct exo_delivery segv = *what;
    segv.sig = SIGSEGV_;
    segv.info = &info;
    segv.action = &action;
    if (exo_frame_push(regs, &segv) != 0)
        exo_signal_kill_self(SIGSEGV_);
    exo_mask_grow(mask_in_handler(mask, SIGSEGV_, &action));
}

/* Makes the guest's handler run next. Everything is blocked on the host. */
static void push(struct exo_regs *regs, struct exo_delivery *what)
{
    uint64_t mask = exo_wait_mask_end();
    what->mask = area()->mask;
    if (exo_frame_push(regs, what) != 0)
        push_segv(regs, what, mask);
    else
        exo_mask_grow(mask_in_handler(mask, what->sig, what->action));
}

/* No handler of the guest's: ignore, or the default action. */
static void act_by_default(int sig, const struct k_siginfo *info, const struct k_sigaction *action,
                           struct k_ucontext *uc)
{
    if (action->handler == SIG_IGN_ && !is_fault(sig, info))
        return;
    if (!area()->sighand->traced || exo_default_of(sig) == EXO_DEFAULT_DIES)
        exo_signal_kill_self(sig);
    if (exo_default_of(sig) == EXO_DEFAULT_STOPS)
        exo_trace_default_stop_now(sig, uc);
}

/* The guest's handler runs as soon as the host handler returns. */
static void deliver_here(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    if (unlikely(mine->adopted) && (sig = exo_trace_ask_now(sig, info, uc)) == 0)
        return;
    if (unlikely(mine->observe & EXO_OBSERVE_RECORD))
        exo_record_signal(info);
    struct k_sigaction action = take_action(sig);
    if (is_fault(sig, info) && (mine->mask & SIG_BIT(sig)))
        action.handler = SIG_DFL_;
    if (action.handler <= SIG_IGN_) {
        act_by_default(sig, info, &action, uc);
        return;
    }
    struct exo_regs regs;
    memcpy(&regs, &uc->mcontext, offsetof(struct exo_regs, nr));
    exo_stub_hide(&regs);
    if (is_fault(sig, info) && info->address == uc->mcontext.rip)
        info->address = regs.rip;
    struct exo_delivery what = {.sig = sig,
                                .info = info,
                                .action = &action,
                                .error_code = uc->mcontext.err,
                                .trapno = uc->mcontext.trapno,
                                .cr2 = uc->mcontext.cr2,
                                .fpstate = uc->mcontext.fpstate,
                                .eflags = uc->mcontext.eflags & ~(mine->steps ? EXO_TRAP_FLAG : 0),
                                .cs = uc->mcontext.cs,
                                .ss = uc->mcontext.ss};
    push(&regs, &what);
    memcpy(&uc->mcontext, &regs, offsetof(struct exo_regs, nr));
    uc->mcontext.eflags &= ~CLEARED_FLAGS;
    uc->mcontext.cs = CODE_SEGMENT;
    uc->mcontext.ss = STACK_SEGMENT;
    uc->sigmask = mine->host_mask;
    if (unlikely(mine->steps))
        exo_trace_stop_at_handler(uc);
}

/* The thread was in guest code: at once, or as soon as it is at a place that a handler may see. */
static void deliver_now(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    if (is_fault(sig, info) || exo_stub_get_on(&uc->mcontext)) {
        deliver_here(sig, info, uc);
        return;
    }
    mine->stash_info = *info;
    mine->stash_info.signo = sig;
    mine->delayed = 1;
    uc->sigmask = EXO_ALL_BUT_FAULTS;
}

static void deliver_delayed(struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    struct k_siginfo info = mine->stash_info;
    mine->delayed = 0;
    uc->sigmask = mine->host_mask;
    exo_stub_got_on(&uc->mcontext);
    deliver_here(info.signo, &info, uc);
}

/* The thread was in the runtime: whatever it was about to do, it looks for signals first. */
static void turn_back(struct k_ucontext *uc)
{
    uint64_t rip = uc->mcontext.rip;
    if (rip >= (uint64_t)exo_recheck && rip < (uint64_t)exo_exit_end)
        uc->mcontext.rip = (uint64_t)exo_slow_exit;
    else if (rip >= (uint64_t)exo_full_recheck && rip < (uint64_t)exo_full_end)
        uc->mcontext.rip = (uint64_t)exo_full_slow;
    else if (rip >= (uint64_t)host_wait_check && rip <= (uint64_t)host_wait_syscall)
        uc->mcontext.rip = (uint64_t)host_wait_abort;
    else if (rip >= (uint64_t)host_sigreturn_check && rip <= (uint64_t)host_sigreturn_syscall)
        uc->mcontext.rip = (uint64_t)host_sigreturn_abort;
}

/* Of a traced task: the host has ended a wait for a signal that the guest may never see. */
static void note_interruption(struct k_ucontext *uc)
{
    if (uc->mcontext.rip == (uint64_t)host_wait_syscall + 2 &&
        uc->mcontext.rax == (uint64_t)-EINTR && !area()->stashed)
        uc->mcontext.rax = (uint64_t)-EXO_ERESTARTNOHAND;
}

static void stash(int sig, const struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    if (unlikely(mine->adopted))
        note_interruption(uc);
    mine->stash_info = *info;
    mine->stash_info.signo = sig;
    store_relaxed(&mine->stashed, 1);
    uc->sigmask = EXO_ALL_BUT_FAULTS;
    turn_back(uc);
}

/* The host handler itself was interrupted: only one of our three can do that. */
static bool is_nested(const struct k_ucontext *uc)
{
    struct k_stack stack = exo_area_altstack(area());
    return uc->mcontext.rsp - stack.sp < stack.size;
}

/* One of our three arrived by kill(2) while the guest has it blocked, or where no second one can be
 * taken: it waits. The call that it cut short is done again. */
static bool wait_unblocked(int sig, const struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    bool nested = is_nested(uc), inside = in_runtime(uc->mcontext.rip);
    if (!(SIG_UNBLOCKABLE & SIG_BIT(sig)) ||
        !(nested || mine->stashed || mine->delayed || (exo_wait_mask_now() & SIG_BIT(sig))))
        return false;
    bool blocked = exo_wait_mask_now() & SIG_BIT(sig);
    if (blocked && info->code == SI_USER_ && !exo_alone())
        exo_own_queue_add(sig, info);
    else if (info->code != EXO_SI_FORWARD) /* else it stays in the queue */
        exo_own_add(sig, info);
    if (nested || !inside || mine->stashed)
        return true;
    fetch_or(&mine->pending, EXO_PENDING_AGAIN);
    if (uc->mcontext.rip == (uint64_t)host_wait_syscall + 2 && uc->mcontext.rax == (uint64_t)-EINTR)
        uc->mcontext.rax = (uint64_t)-EXO_ERESTART;
    turn_back(uc);
    return true;
}

/* Delivers, or stashes, what had to wait for this host handler's end. */
static void take_waiting(struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    struct k_siginfo info;
    while (!mine->stashed && !mine->delayed) {
        uint64_t ready = (mine->own_pending | exo_own_queue_set()) & ~mine->mask;
        if (likely(ready == 0) || !exo_pending_take(&info, ready))
            return;
        if (in_runtime(uc->mcontext.rip))
            stash(info.signo, &info, uc);
        else
            deliver_now(info.signo, &info, uc);
    }
}

/* Another runtime calls: EXO_SI_TRACE or EXO_SI_WAKE. */
static void answer(int code, struct k_ucontext *uc)
{
    bool inside = in_runtime(uc->mcontext.rip), wake = code == EXO_SI_WAKE;
    if (!inside && wake)
        return;
    fetch_or(&area()->pending, wake ? EXO_PENDING_AGAIN : EXO_PENDING_TRACE);
    if (!inside)
        return; /* exo_host_handler() does what there is to do */
    note_interruption(uc);
    turn_back(uc);
}

static void arrived(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    bool inside = in_runtime(uc->mcontext.rip);
    bool watched = unlikely(area()->adopted) && exo_trace_watched(info);
    if (sig == SIGTRAP_ && info->code == TRAP_TRACE_) {
        if (exo_step(uc))
            return;
    } else if (is_fault(sig, info) && !(watched && inside)) {
        if (unlikely(area()->delayed) && !inside) {
            deliver_delayed(uc);
            return;
        }
        uint64_t go_on = inside ? exo_fault_fixup(uc) : exo_stub_fault(uc->mcontext.rip);
        if (go_on != 0) {
            uc->mcontext.rip = go_on;
            return;
        }
        if (inside) { /* a bug of ours */
            exo_say("exo-um: runtime: unexpected fault\n");
            exo_signal_kill_self(SIGSEGV_);
        }
    } else if (wait_unblocked(sig, info, uc) || exo_signal_hold(sig, info, uc))
        return;
    else if (info->code == EXO_SI_FORWARD && !exo_own_queue_take(sig, info)) {
        answer(EXO_SI_WAKE, uc); /* another thread has it: nothing came */
        return;
    }
    exo_siginfo_to_guest(info);
    if (inside)
        stash(sig, info, uc);
    else
        deliver_now(sig, info, uc);
}

/* What other runtimes have asked for, until nothing more can come before the guest's code goes on. */
static void see_to_calls(struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    uint64_t all = ~0UL;
    for (;;) {
        HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &all, 0, 8);
        if (!(load_relaxed(&mine->pending) & EXO_PENDING_TRACE))
            return;
        exo_mask_block_all();
        exo_trace_work_now(uc);
        take_waiting(uc);
    }
}

static bool is_call_of_runtime(int sig, const struct k_siginfo *info)
{
    return sig == EXO_CALLING && (info->code == EXO_SI_TRACE || info->code == EXO_SI_WAKE);
}

void exo_host_handler(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    if (sig == SIGSYS_ && info->code == EXO_SI_DIE)
        exo_signal_kill_self(SIGKILL_);
    /* The runtime's own calls never trap: inside, this is one that force_sigsys() has sent. */
    bool call = sig == SIGSYS_ && !in_runtime(uc->mcontext.rip) &&
                (info->code == SYS_SECCOMP_ || info->code == SYS_USER_DISPATCH_);
    struct exo_area *mine = area();
    if (call)
        exo_trap(info, uc);
    else {
        remember_xstate(uc);
        if (is_call_of_runtime(sig, info))
            answer(info->code, uc);
        else
            arrived(sig, info, uc);
        if (sig == EXO_CALLING && mine->task->tracer != 0) /* one may have been dropped for it */
            fetch_or(&mine->pending, EXO_PENDING_TRACE);
    }
    if (is_nested(uc) || unlikely(mine->delayed))
        return;
    take_waiting(uc);
    if (unlikely(mine->adopted || mine->pending) && !in_runtime(uc->mcontext.rip))
        see_to_calls(uc);
}

/* The call in progress was cut short by the signal: what the guest sees of it. */
static void settle_call(struct exo_regs *regs, bool handled)
{
    bool if_ignored = regs->rax == (uint64_t)-EXO_ERESTARTNOHAND;
    if (if_ignored && handled)
        regs->rax = (uint64_t)-EINTR;
    if ((regs->rax != (uint64_t)-EXO_ERESTART && !(if_ignored && !handled)) ||
        (int)regs->nr == -1) /* no call */
        return;
    regs->rax = regs->nr;
    regs->rip -= 2; /* the syscall instruction, or the jump in its place */
}

static void default_on_exit(struct exo_area *mine, int sig)
{
    bool traced = mine->sighand->traced;
    if ((SIG_UNBLOCKABLE & SIG_BIT(sig)) || exo_robust_guards(sig) ||
        (traced && exo_default_of(sig) == EXO_DEFAULT_DIES))
        exo_signal_kill_self(sig);
    if (!traced) /* changed meanwhile: the host does the default */
        HOST_3(__NR_tgkill, mine->leader->host_tgid, mine->core.host_tid, sig);
    else if (exo_default_of(sig) == EXO_DEFAULT_STOPS)
        exo_trace_default_stop_on_exit(sig);
}

/* On the way out: everything but our three is blocked. */
static void deliver_stashed(struct exo_area *mine)
{
    struct k_siginfo info = mine->stash_info;
    int sig = info.signo;
    if (unlikely(mine->adopted) && (sig = exo_trace_ask_on_exit(sig, &info)) == 0)
        return;
    if (unlikely(mine->observe & EXO_OBSERVE_RECORD))
        exo_record_signal(&info);
    struct k_sigaction action = take_action(sig);
    if (action.handler <= SIG_IGN_) {
        if (action.handler == SIG_DFL_)
            default_on_exit(mine, sig);
        return;
    }
    settle_call(&mine->regs, true);
    struct exo_delivery what = {.sig = sig,
                                .info = &info,
                                .action = &action,
                                .eflags = mine->flags,
                                .cs = CODE_SEGMENT,
                                .ss = STACK_SEGMENT};
    push(&mine->regs, &what);
    mine->flags &= ~CLEARED_FLAGS;
    if (unlikely(mine->steps))
        exo_trace_stop_in_handler();
}

/* The host's mask as it has to be, unless another signal is stashed. */
static void restore_mask(struct exo_area *mine)
{
    uint64_t all = ~0UL;
    if (exo_pending_stash(mine->mask) ||
        host_wait(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&mine->host_mask, 0, 8, 0, 0) == 0)
        return;
    /* Something is pending that may not be a signal. */
    HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &all, 0, 8);
    exo_mask_set(mine->stashed ? EXO_ALL_BUT_FAULTS : mine->host_mask);
}

static void deliver_all(struct exo_area *mine)
{
    do
        deliver_stashed(mine);
    while (exo_pending_take(&mine->stash_info, ~mine->mask));
    uint8_t lazy = mine->lazy;
    mine->lazy = 0; /* or host_wait() would make the masks equal */
    store_relaxed(&mine->stashed, 0);
    restore_mask(mine);
    mine->lazy = lazy;
}

/* With a signal stashed, a call to be redone, or something for the tracer. Leaves with the host's
 * mask as it has to be, or with another signal stashed: the caller looks again. */
static void work(struct exo_area *mine)
{
    fetch_and(&mine->pending, (uint8_t)~EXO_PENDING_AGAIN);
    if (unlikely(load_relaxed(&mine->pending) & EXO_PENDING_TRACE))
        exo_trace_work_on_exit();
    if (mine->stashed)
        deliver_all(mine);
    mine->wait_masked = 0; /* no handler has run: the mask is as before the wait */
    settle_call(&mine->regs, false);
    if (unlikely(mine->set_all))
        fetch_or(&mine->pending, EXO_PENDING_LEAVE);
    if (unlikely(load_relaxed(&mine->pending) == EXO_PENDING_LEAVE) && !mine->stashed)
        exo_trace_leave();
}

void exo_exit_work(void)
{
    struct exo_area *mine = area();
    exo_stub_hide(&mine->regs);
    if (likely(!mine->set_all)) { /* as the instruction leaves them */
        mine->regs.rcx = mine->regs.rip;
        mine->regs.r11 = mine->flags;
    }
    work(mine);
}

/* The same where the registers are not those of a call: on the way out of sigreturn. */
void exo_exit_work_full(void)
{
    struct exo_area *mine = area();
    exo_stub_hide(&mine->regs);
    mine->regs.nr = ~0UL;
    work(mine);
}

void exo_signal_force_segv(void)
{
    struct exo_area *mine = area();
    if (!mine->adopted && ((mine->mask & SIG_BIT(SIGSEGV_)) ||
                           exo_action_get(mine->sighand, SIGSEGV_).handler <= SIG_IGN_))
        exo_signal_kill_self(SIGSEGV_);
    exo_mask_block_all();
    if (!mine->stashed)
        mine->stash_info = (struct k_siginfo){.signo = SIGSEGV_, .code = SI_KERNEL_};
    store_relaxed(&mine->stashed, 1);
}

/* Only what arrives at once and runs a handler; all else is for the host to decide. */
long exo_signal_self(const struct k_siginfo *info)
{
    struct exo_area *mine = area();
    struct exo_regs *regs = &mine->regs;
    uint64_t bit = SIG_BIT(info->signo), before = mine->mask;
    uint32_t format;
    memcpy(&format, mine->xstate_format, sizeof(format));
    if (!(mine->sighand->handled & ~before & bit) ||
        (mine->observe & (EXO_OBSERVE_TRACE | EXO_OBSERVE_RECORD)) || format == 0)
        return EXO_BY_HOST;
    struct k_sigaction action = mine->sighand->actions[info->signo - 1];
    if (action.handler <= SIG_IGN_)
        return EXO_BY_HOST;
    long error = exo_mask_grow_now(mask_in_handler(before, info->signo, &action));
    if (error != 0)
        return error;
    if (mine->stashed) { /* came first: its handler runs, and then this call again */
        exo_mask_shrink(before);
        return -EXO_ERESTART;
    }
    exo_stub_hide(regs);
    regs->rax = 0;
    regs->rcx = regs->rip;
    regs->r11 = mine->flags;
    struct exo_delivery what = {.sig = info->signo,
                                .info = info,
                                .action = &action,
                                .mask = before,
                                .eflags = mine->flags,
                                .cs = CODE_SEGMENT,
                                .ss = STACK_SEGMENT};
    if (exo_frame_push(regs, &what) != 0) {
        exo_mask_change(before);
        exo_signal_force_segv();
        return 0;
    }
    mine->flags &= ~CLEARED_FLAGS;
    return 0;
}
