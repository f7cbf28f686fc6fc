/* Signals between host and guest.
 *
 * The host's disposition of a signal is the guest's, except that a guest handler becomes
 * exo_host_handler, and that SIGSYS, SIGSEGV and SIGBUS always come here. The host's mask is the
 * guest's without those three. A signal that finds the thread in guest code is delivered at once;
 * one that finds it in the runtime is stashed, everything is blocked (so there is never a second),
 * and exo_exit_work() delivers it on the way out.
 */
#include "robust.h"
#include "stub.h"
#include "translate.h"

extern const char exo_recheck[], exo_exit_end[], exo_slow_exit[];
extern const char host_wait_check[], host_wait_syscall[], host_wait_abort[];
extern const char host_sigreturn_check[], host_sigreturn_syscall[], host_sigreturn_abort[];
extern const char host_restorer[], __executable_start[], etext[];

/* NODEFER: a bad guest address met inside the SIGSEGV handler must come back here. */
#define HOST_FLAGS (SA_SIGINFO_ | SA_ONSTACK_ | SA_RESTORER_ | SA_NODEFER_)
#define ALL_BUT_FAULTS (~SIG_UNBLOCKABLE)

/* The kernel process frees the slots of children that the host reaps by itself. */
static void note_reaping(const struct k_sigaction *action)
{
    uint32_t *flags = &area()->leader->flags;
    if (action->handler == SIG_IGN_ || (action->flags & SA_NOCLDWAIT_))
        fetch_or(flags, EXO_TASK_AUTO_REAPS);
    else
        fetch_and(flags, ~(uint32_t)EXO_TASK_AUTO_REAPS);
}

static bool in_runtime(uint64_t rip)
{
    return rip >= (uint64_t)__executable_start && rip < (uint64_t)etext;
}

static long host_sigaction(int sig, const struct k_sigaction *new, struct k_sigaction *old)
{
    return host_call_early(__NR_rt_sigaction, sig, (long)new, (long)old, 8, 0, 0);
}

void exo_action_to_host(int sig, const struct k_sigaction *action)
{
    struct k_sigaction host = {.handler = action->handler,
                               .flags = action->flags & (SA_NOCLDSTOP_ | SA_NOCLDWAIT_),
                               .mask = ALL_BUT_FAULTS};
    bool own =
        (SIG_UNBLOCKABLE & SIG_BIT(sig)) || (action->handler == SIG_DFL_ && exo_robust_guards(sig));
    if (own || (action->handler != SIG_DFL_ && action->handler != SIG_IGN_)) {
        host.handler = (uint64_t)exo_host_handler;
        host.flags |= HOST_FLAGS | (action->flags & SA_RESTART_);
        host.restorer = (uint64_t)host_restorer;
    }
    host_sigaction(sig, &host, NULL);
    if (sig == SIGCHLD_)
        note_reaping(action);
}

/* What the guest has set for sig, or, if it has not, what it got from whoever executed it. */
struct k_sigaction exo_action_get(struct exo_sighand *hand, int sig)
{
    if (!(hand->known & SIG_BIT(sig))) {
        hand->actions[sig - 1] =
            (struct k_sigaction){.handler = hand->inherited & SIG_BIT(sig) ? SIG_IGN_ : SIG_DFL_};
        fetch_or(&hand->known, SIG_BIT(sig));
    }
    return hand->actions[sig - 1];
}

/* Installs what the runtime needs, keeping the guest's inherited view. */
void exo_signal_init(void)
{
    static const int own[] = {SIGSEGV_, SIGBUS_, SIGSYS_};
    struct exo_sighand *hand = area()->sighand;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct k_sigaction action = exo_action_get(hand, own[i]);
        exo_action_to_host(own[i], &action);
    }
    struct k_sigaction child = exo_action_get(hand, SIGCHLD_);
    note_reaping(&child);
}

/* CLONE_CLEAR_SIGHAND: handlers back to the default, ignored ones stay ignored. */
void exo_actions_clear(struct exo_sighand *hand)
{
    struct k_sigaction none = {0};
    for (int sig = 1; sig <= 64; sig++) {
        if (!(hand->known & SIG_BIT(sig)) || hand->actions[sig - 1].handler <= SIG_IGN_)
            continue;
        hand->actions[sig - 1] = none;
        exo_action_to_host(sig, &none);
    }
}

/* The host resets handlers at exec, ours for what the guest ignores too: the next program is told. */
void exo_actions_before_exec(struct exo_sighand *hand)
{
    uint64_t ignored = hand->inherited & ~hand->known;
    for (int sig = 1; sig <= 64; sig++)
        if ((hand->known & SIG_BIT(sig)) && hand->actions[sig - 1].handler == SIG_IGN_)
            ignored |= SIG_BIT(sig);
    area()->leader->ignored = ignored;
}

static uint64_t swap_mask(uint64_t mask)
{
    uint64_t old = 0;
    HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &mask, &old, 8);
    return old;
}

uint64_t exo_mask_block_all(void)
{
    return swap_mask(ALL_BUT_FAULTS);
}

/* Faults too: for where the thread does not know who it is, and touches no guest memory. With a
 * signal stashed already the mask is not the guest's: -EXO_ERESTART. */
long exo_mask_block_everything(uint64_t *old)
{
    uint64_t all = ~0UL;
    return host_wait(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&all, (long)old, 8, 0, 0);
}

void exo_mask_set(uint64_t mask)
{
    HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &mask, 0, 8);
}

/* Dies of sig as the host's default action has it: status, core dump flag and all. */
noreturn void exo_signal_kill_self(int sig)
{
    struct k_sigaction none = {0};
    uint64_t mask = 0;
    exo_robust_release_all();
    host_sigaction(sig, &none, NULL);
    HOST_3(__NR_tgkill, area()->leader->host_tgid, area()->core.host_tid, sig);
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
    if (!(action->flags & SA_NODEFER_))
        mask |= SIG_BIT(sig);
    area()->unblockable_blocked = mask & SIG_UNBLOCKABLE;
    return mask & ~SIG_UNBLOCKABLE;
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

/* No handler of the guest's: ignore, or die the default death. */
static void act_by_default(int sig, const struct k_siginfo *info, const struct k_sigaction *action)
{
    if (action->handler == SIG_IGN_ && !is_fault(sig, info))
        return;
    exo_signal_kill_self(sig);
}

/* The thread was in guest code: the guest's handler runs as soon as the host handler returns. */
static void deliver_now(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    struct k_sigaction action = take_action(sig);
    struct exo_area *mine = area();
    uint64_t blocked = mine->unblockable_blocked;
    if (is_fault(sig, info) && (blocked & SIG_BIT(sig)))
        action.handler = SIG_DFL_;
    if (action.handler <= SIG_IGN_) {
        act_by_default(sig, info, &action);
        return;
    }
    struct exo_regs regs;
    memcpy(&regs, &uc->mcontext, offsetof(struct exo_regs, nr));
    exo_stub_hide(&regs);
    struct exo_delivery what = {.sig = sig,
                                .info = info,
                                .action = &action,
                                .mask = uc->sigmask | blocked,
                                .error_code = uc->mcontext.err,
                                .trapno = uc->mcontext.trapno,
                                .cr2 = uc->mcontext.cr2,
                                .fpstate = uc->mcontext.fpstate,
                                .eflags = uc->mcontext.eflags};
    if (exo_frame_push(&regs, &what) != 0)
        exo_signal_kill_self(SIGSEGV_);
    memcpy(&uc->mcontext, &regs, offsetof(struct exo_regs, nr));
    uc->mcontext.eflags &= ~0x500UL; /* direction and trap flag off, as the host does */
    uc->sigmask = mask_in_handler(what.mask, sig, &action);
}

static void stash(int sig, const struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    mine->stash_info = *info;
    mine->stash_info.signo = sig;
    mine->stash_mask = uc->sigmask;
    uc->sigmask = ALL_BUT_FAULTS;
    store_relaxed(&mine->pending, 1);
    uint64_t rip = uc->mcontext.rip;
    if (rip >= (uint64_t)exo_recheck && rip < (uint64_t)exo_exit_end)
        uc->mcontext.rip = (uint64_t)exo_slow_exit;
    else if (rip >= (uint64_t)host_wait_check && rip <= (uint64_t)host_wait_syscall)
        uc->mcontext.rip = (uint64_t)host_wait_abort;
    else if (rip >= (uint64_t)host_sigreturn_check && rip <= (uint64_t)host_sigreturn_syscall)
        uc->mcontext.rip = (uint64_t)host_sigreturn_abort;
}

/* Where such a signal's siginfo waits. */
static size_t unblockable_index(int sig)
{
    return sig == SIGBUS_ ? 0 : sig == SIGSEGV_ ? 1 : 2;
}

/* One of our three arrived by kill(2) while the guest has it blocked, or on top of a stashed one:
 * it waits here. */
static bool wait_unblocked(int sig, const struct k_siginfo *info)
{
    struct exo_area *mine = area();
    bool busy = (SIG_UNBLOCKABLE & SIG_BIT(sig)) && mine->pending != 0;
    if (is_fault(sig, info) || (!busy && !(mine->unblockable_blocked & SIG_BIT(sig))))
        return false;
    if (!(mine->unblockable_pending & SIG_BIT(sig)))
        mine->unblockable_info[unblockable_index(sig)] = *info;
    mine->unblockable_pending |= SIG_BIT(sig);
    return true;
}

void exo_host_handler(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    bool inside = in_runtime(uc->mcontext.rip);
    /* The runtime's own calls never trap: inside, this is one that exo_sigsys_force() has sent. */
    if (sig == SIGSYS_ && !inside &&
        (info->code == SYS_SECCOMP_ || info->code == SYS_USER_DISPATCH_)) {
        exo_trap(info, uc);
        return;
    }
    if (sig == SIGSYS_ && info->code == EXO_SI_DIE)
        exo_signal_kill_self(SIGKILL_);
    remember_xstate(uc);
    if (is_fault(sig, info)) {
        uint64_t go_on = inside ? exo_fault_fixup(uc) : exo_stub_fault(uc->mcontext.rip);
        if (go_on != 0) {
            uc->mcontext.rip = go_on;
            return;
        }
        if (inside) { /* a sigframe the host will not take, or a bug of ours: fatal both */
            if (uc->mcontext.rip != (uint64_t)host_sigreturn_syscall + 2)
                exo_say("exo-um: runtime: unexpected fault\n");
            exo_signal_kill_self(SIGSEGV_);
        }
    }
    if (wait_unblocked(sig, info))
        return;
    exo_siginfo_to_guest(info);
    if (inside)
        stash(sig, info, uc);
    else
        deliver_now(sig, info, uc);
}

/* The call in progress was cut short by the signal: what the guest sees of it. */
static void settle_call(struct exo_regs *regs)
{
    if (regs->rax != (uint64_t)-EXO_ERESTART)
        return;
    regs->rax = regs->nr;
    regs->rip -= 2; /* the syscall instruction, or the jump in its place */
}

/* Sends again what arrived for the three unblockable signals while the guest had them blocked. */
int exo_take_unblockable(uint64_t set, struct k_siginfo *info)
{
    struct exo_area *mine = area();
    uint64_t ready = mine->unblockable_pending & set;
    if (ready == 0)
        return 0;
    int sig = __builtin_ctzl(ready) + 1;
    mine->unblockable_pending &= ~SIG_BIT(sig);
    *info = mine->unblockable_info[unblockable_index(sig)];
    return sig;
}

void exo_raise_unblocked(void)
{
    struct exo_area *mine = area();
    uint64_t ready = mine->unblockable_pending & ~mine->unblockable_blocked;
    mine->unblockable_pending &= ~ready;
    for (int sig = 1; ready != 0 && sig <= 64; sig++)
        if (ready & SIG_BIT(sig))
            HOST_3(__NR_tgkill, mine->leader->host_tgid, mine->core.host_tid, sig);
}

static void clear_stash(void)
{
    store_relaxed(&area()->pending, 0);
}

/* On the way out, with a stashed signal: everything but faults is blocked since it was stashed. */
void exo_exit_work(void)
{
    struct exo_area *mine = area();
    struct exo_regs *regs = &mine->regs;
    struct k_siginfo info = mine->stash_info;
    int sig = info.signo;
    clear_stash();
    exo_stub_hide(regs);
    regs->rcx = regs->rip; /* as the instruction leaves them */
    regs->r11 = mine->flags;
    settle_call(regs);
    struct k_sigaction action = take_action(sig);
    uint64_t blocked = mine->unblockable_blocked;
    uint64_t mask = mine->stash_mask;
    if (action.handler <= SIG_IGN_) {
        if (action.handler == SIG_DFL_ &&
            ((SIG_UNBLOCKABLE & SIG_BIT(sig)) || exo_robust_guards(sig)))
            exo_signal_kill_self(sig);
        if (action.handler == SIG_DFL_) /* changed meanwhile: the host does the default */
            HOST_3(__NR_tgkill, mine->leader->host_tgid, mine->core.host_tid, sig);
        exo_mask_set(mask);
        if (mine->unblockable_pending != 0)
            exo_raise_unblocked();
        return;
    }
    struct exo_delivery what = {.sig = sig,
                                .info = &info,
                                .action = &action,
                                .mask = mask | blocked,
                                .eflags = mine->flags};
    if (exo_frame_push(regs, &what) != 0)
        exo_signal_kill_self(SIGSEGV_);
    mine->flags &= ~0x500UL; /* direction and trap flag off, as the host does */
    exo_mask_set(mask_in_handler(what.mask, sig, &action));
    if (mine->unblockable_pending != 0)
        exo_raise_unblocked();
}

/* A signal stashed just before the host's sigreturn: queued again, it will find the guest's code. */
void exo_signal_give_back(void)
{
    struct exo_area *mine = area();
    struct k_siginfo info = mine->stash_info;
    clear_stash();
    exo_siginfo_to_host(&info);
    HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid, info.signo, &info);
}
