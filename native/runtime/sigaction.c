/* Dispositions between host and guest: what sigaction(2) sets, and what of it the host is told.
 *
 * The host's disposition of a signal is the guest's, except that a guest handler becomes
 * exo_host_handler, and that SIGSYS, SIGSEGV and SIGBUS always come there.
 */
#include "robust.h"

extern const char host_restorer[];

/* NODEFER: a bad guest address met inside the SIGSEGV handler must come back here. */
#define HOST_FLAGS (SA_SIGINFO_ | SA_ONSTACK_ | SA_RESTORER_ | SA_NODEFER_)
/* Those whose arrival takes another signal's pendency away. */
#define JOB_CONTROL (SIG_BIT(SIGCONT_) | SIG_BIT(SIGTSTP_) | SIG_BIT(SIGTTIN_) | SIG_BIT(SIGTTOU_))

/* The kernel process frees the slots of children that the host reaps by itself. */
static void note_reaping(const struct k_sigaction *action)
{
    uint32_t *flags = &area()->leader->flags, now = 0;
    if (action->handler == SIG_IGN_ || (action->flags & SA_NOCLDWAIT_))
        now =
            action->handler > SIG_IGN_ ? EXO_TASK_AUTO_REAPS | EXO_TASK_HEARS : EXO_TASK_AUTO_REAPS;
    if (action->handler == SIG_IGN_ || (action->flags & SA_NOCLDSTOP_))
        now |= EXO_TASK_NO_CHILD_STOPS;
    fetch_and(flags,
              ~(uint32_t)(EXO_TASK_AUTO_REAPS | EXO_TASK_HEARS | EXO_TASK_NO_CHILD_STOPS) | now);
    fetch_or(flags, now);
}

long exo_host_sigaction(int sig, const struct k_sigaction *new, struct k_sigaction *old)
{
    return host_call_early(__NR_rt_sigaction, sig, (long)new, (long)old, 8, 0, 0);
}

/* Which signals may arrive while only the guest has them blocked; see sigmask.c. */
static void note_handled(int sig, const struct k_sigaction *action)
{
    uint64_t *handled = &area()->sighand->handled, bit = SIG_BIT(sig) & ~JOB_CONTROL;
    if (action->handler > SIG_IGN_ && !(action->flags & SA_RESETHAND_))
        fetch_or(handled, bit);
    else
        fetch_and(handled, ~bit);
}

void exo_action_to_host(int sig, const struct k_sigaction *action)
{
    struct k_sigaction host = {.handler = action->handler,
                               .flags = action->flags & (SA_NOCLDSTOP_ | SA_NOCLDWAIT_),
                               .mask = EXO_ALL_BUT_FAULTS};
    bool traced = area()->sighand->traced && !(sig == SIGCHLD_ && action->handler == SIG_IGN_);
    bool own = (SIG_UNBLOCKABLE & SIG_BIT(sig)) || traced ||
               (action->handler == SIG_DFL_ && exo_robust_guards(sig));
    if (own || (action->handler != SIG_DFL_ && action->handler != SIG_IGN_)) {
        host.handler = (uint64_t)exo_host_handler;
        host.flags |= HOST_FLAGS | (action->flags & SA_RESTART_);
        if (traced && action->handler <= SIG_IGN_)
            host.flags |= SA_RESTART_;
        host.restorer = (uint64_t)host_restorer;
    }
    exo_host_sigaction(sig, &host, NULL);
    if (sig == SIGCHLD_)
        note_reaping(action);
    note_handled(sig, action);
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
    exo_mask_init();
}

enum exo_default exo_default_of(int sig)
{
    switch (sig) {
    case SIGCHLD_:
    case SIGCONT_:
    case SIGURG_:
    case SIGWINCH_:
        return EXO_DEFAULT_IGNORES;
    case SIGSTOP_:
    case SIGTSTP_:
    case SIGTTIN_:
    case SIGTTOU_:
        return EXO_DEFAULT_STOPS;
    default:
        return EXO_DEFAULT_DIES;
    }
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
