/* The calls that set up and wait for signals: sigaction(2), sigprocmask(2), sigsuspend(2),
 * sigaltstack(2), sigtimedwait(2). Delivery is in signal.c.
 */
#include "signal.h"
#include "translate.h"

#define MASK_SIZE 8

/* sigaction(2): what is pending of a signal that is ignored from now on is dropped. */
static bool ignores(int sig, const struct k_sigaction *action)
{
    uint64_t by_default =
        SIG_BIT(SIGCHLD_) | SIG_BIT(SIGCONT_) | SIG_BIT(SIGURG_) | SIG_BIT(SIGWINCH_);
    return action->handler == SIG_IGN_ ||
           (action->handler == SIG_DFL_ && (by_default & SIG_BIT(sig)));
}

SYSCALL(rt_sigaction)
{
    int sig = (int)a;
    struct k_sigaction new;
    struct exo_area *mine = area();
    struct exo_sighand *hand = mine->sighand;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (b != 0 && guest_get(&new, b) != 0)
        return -EFAULT;
    if (sig < 1 || sig > 64 || (b != 0 && (SIG_ALWAYS & SIG_BIT(sig))))
        return -EINVAL;
    struct k_sigaction old = exo_action_get(hand, sig);
    if (b != 0) {
        new.mask &= ~SIG_ALWAYS;
        new.flags &= SA_KNOWN_;
        if (mine->lazy) /* the host must keep what arrives from now on, whatever the action */
            exo_mask_sync();
        hand->actions[sig - 1] = new;
        exo_action_to_host(sig, &new);
        if (ignores(sig, &new))
            exo_pending_discard(sig);
    }
    return c != 0 ? guest_put(c, &old) : 0;
}

SYSCALL(rt_sigprocmask)
{
    struct exo_area *mine = area();
    uint64_t set, old = mine->mask;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (b != 0) {
        int how = (int)a;
        if (guest_get(&set, b) != 0)
            return -EFAULT;
        if (how != SIG_BLOCK_ && how != SIG_UNBLOCK_ && how != SIG_SETMASK_)
            return -EINVAL;
        long error = exo_mask_change(how == SIG_BLOCK_     ? old | set
                                     : how == SIG_UNBLOCK_ ? old & ~set
                                                           : set);
        if (error != 0)
            return error;
    }
    return c != 0 ? guest_put(c, &old) : 0;
}

SYSCALL(rt_sigpending)
{
    uint64_t set = 0;
    if ((uint64_t)b > MASK_SIZE)
        return -EINVAL;
    HOST_2(__NR_rt_sigpending, &set, MASK_SIZE);
    set |= exo_pending_set();
    return guest_write((uint64_t)a, &set, (uint64_t)b);
}

SYSCALL(rt_sigsuspend)
{
    uint64_t set;
    if (b != MASK_SIZE)
        return -EINVAL;
    if (guest_get(&set, a) != 0)
        return -EFAULT;
    struct exo_wait_mask mask = exo_wait_mask_from(set);
    return EXO_WAIT(&mask, __NR_rt_sigsuspend, (long)&mask.host, MASK_SIZE, 0, 0, 0, 0);
}

SYSCALL(pause)
{
    return host_wait(__NR_pause, 0, 0, 0, 0, 0, 0);
}

SYSCALL(restart_syscall)
{
    return -EINTR; /* the host restarts its own; guests have none to restart */
}

/* What waits in the runtime, unless the host has a lower one. Our three come first of all. */
static long take_waiting(uint64_t set, struct k_siginfo *info)
{
    uint64_t ours = exo_pending_set() & set, theirs = 0;
    if (ours == 0)
        return 0;
    HOST_2(__NR_rt_sigpending, &theirs, MASK_SIZE);
    theirs &= set;
    if (theirs != 0 && !(ours & SIG_UNBLOCKABLE) && __builtin_ctzl(theirs) < __builtin_ctzl(ours))
        return 0;
    return exo_pending_take(info, set) ? info->signo : 0;
}

static bool is_timespec(uint64_t from)
{
    int64_t time[2];
    return guest_get(&time, from) != 0 || (time[0] >= 0 && time[1] >= 0 && time[1] < 1000000000);
}

SYSCALL(rt_sigtimedwait)
{
    uint64_t set;
    struct k_siginfo info;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (guest_get(&set, a) != 0)
        return -EFAULT;
    struct exo_area *mine = area();
    mine->wait_mask = ~set;
    store_release(&mine->wait_masked, (uint32_t)EXO_WAITS_TO_TAKE);
    full_fence(); /* against exo_own_queue_add() */
    long sig = c == 0 || is_timespec((uint64_t)c) ? take_waiting(set & ~SIG_ALWAYS, &info) : 0;
    if (sig == 0) {
        sig = host_wait(__NR_rt_sigtimedwait, (long)&set, (long)&info, c, MASK_SIZE, 0, 0);
        if (sig > 0 && info.code == EXO_SI_FORWARD && !exo_own_queue_take((int)sig, &info))
            sig = -EXO_ERESTART;
        if (sig > 0)
            exo_siginfo_to_guest(&info);
    }
    mine->wait_masked = 0;
    if (sig == -EXO_ERESTART)
        fetch_or(&mine->pending, EXO_PENDING_AGAIN);
    return sig > 0 && b != 0 && guest_put(b, &info) != 0 ? -EFAULT : sig;
}

long exo_altstack_set(const struct k_stack *new, uint64_t rsp)
{
    uint32_t mode = new->flags & ~SS_AUTODISARM_;
    struct exo_area *mine = area();
    if (exo_on_altstack(mine, rsp))
        return -EPERM;
    bool fresh = mine->altstack.size == 0 && mine->altstack.flags == SS_DISABLE_;
    if (fresh && new->sp == 0 && new->size == 0 && new->flags == 0)
        return 0; /* what a process has that has never set one: no change */
    if (mode != SS_DISABLE_ && mode != SS_ONSTACK_ && mode != 0)
        return -EINVAL;
    if (mode != SS_DISABLE_ && new->size < MINSIGSTKSZ_)
        return -ENOMEM;
    bool off = mode == SS_DISABLE_;
    mine->altstack =
        (struct k_stack){.sp = off ? 0 : new->sp, .size = off ? 0 : new->size, .flags = new->flags};
    return 0;
}

SYSCALL(sigaltstack)
{
    struct exo_area *mine = area();
    struct k_stack old = mine->altstack, new;
    uint64_t rsp = mine->regs.rsp;
    old.flags &= SS_AUTODISARM_;
    old.flags |= old.size == 0 ? SS_DISABLE_ : exo_on_altstack(mine, rsp) ? SS_ONSTACK_ : 0;
    if (a != 0) {
        if (guest_get(&new, a) != 0)
            return -EFAULT;
        long error = exo_altstack_set(&new, rsp);
        if (error != 0)
            return error;
    }
    return b != 0 ? guest_put(b, &old) : 0;
}
