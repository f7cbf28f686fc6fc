/* The calls that set up and wait for signals: sigaction(2), sigprocmask(2), sigsuspend(2),
 * sigaltstack(2), sigtimedwait(2). Delivery is in signal.c.
 */
#include "signal.h"
#include "translate.h"

#define MASK_SIZE 8
#define SA_KNOWN 0xdc000807UL /* others are forgotten, so that programs can ask for them */

SYSCALL(rt_sigaction)
{
    int sig = (int)a;
    struct k_sigaction new;
    struct exo_sighand *hand = area()->sighand;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (b != 0 && guest_get(&new, b) != 0)
        return -EFAULT;
    new.flags = b != 0 ? new.flags &SA_KNOWN : 0;
    if (sig < 1 || sig > 64 || (b != 0 && (SIG_ALWAYS & SIG_BIT(sig))))
        return -EINVAL;
    struct k_sigaction old = exo_action_get(hand, sig);
    if (b != 0) {
        new.mask &= ~SIG_ALWAYS;
        hand->actions[sig - 1] = new;
        exo_action_to_host(sig, &new);
    }
    return c != 0 ? guest_put(c, &old) : 0;
}

static void change_unblockable(int how, uint64_t set)
{
    struct exo_area *mine = area();
    uint64_t old = mine->unblockable_blocked;
    set &= SIG_UNBLOCKABLE;
    mine->unblockable_blocked = how == SIG_BLOCK_     ? old | set
                                : how == SIG_UNBLOCK_ ? old & ~set
                                                      : set;
    if (mine->unblockable_pending != 0)
        exo_raise_unblocked();
}

SYSCALL(rt_sigprocmask)
{
    uint64_t set = 0, old = 0, ours = area()->unblockable_blocked;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (b != 0 && guest_get(&set, b) != 0)
        return -EFAULT;
    uint64_t host_set = set & ~SIG_UNBLOCKABLE;
    /* With a signal stashed the host's mask is not the guest's: host_wait looks first. */
    long error = host_wait(__NR_rt_sigprocmask, a, b != 0 ? (long)&host_set : 0, (long)&old,
                           MASK_SIZE, 0, 0);
    if (error != 0)
        return error;
    if (b != 0)
        change_unblockable((int)a, set);
    old |= ours;
    return c != 0 ? guest_put(c, &old) : 0;
}

SYSCALL(rt_sigpending)
{
    uint64_t set = 0;
    if ((uint64_t)b > MASK_SIZE)
        return -EINVAL;
    HOST_2(__NR_rt_sigpending, &set, MASK_SIZE);
    set |= area()->unblockable_pending;
    return guest_write((uint64_t)a, &set, (uint64_t)b);
}

SYSCALL(rt_sigsuspend)
{
    uint64_t set;
    if (b != MASK_SIZE)
        return -EINVAL;
    if (guest_get(&set, a) != 0)
        return -EFAULT;
    set &= ~SIG_UNBLOCKABLE;
    return host_wait(__NR_rt_sigsuspend, (long)&set, MASK_SIZE, 0, 0, 0, 0);
}

SYSCALL(pause)
{
    return host_wait(__NR_pause, 0, 0, 0, 0, 0, 0);
}

SYSCALL(restart_syscall)
{
    return -EINTR; /* the host restarts its own; guests have none to restart */
}

SYSCALL(rt_sigtimedwait)
{
    uint64_t set;
    struct k_siginfo info;
    if (d != MASK_SIZE)
        return -EINVAL;
    if (guest_get(&set, a) != 0)
        return -EFAULT;
    long sig = exo_take_unblockable(set, &info);
    if (sig == 0)
        sig = host_wait(__NR_rt_sigtimedwait, (long)&set, (long)&info, c, MASK_SIZE, 0, 0);
    if (sig == -EINTR || sig == -EXO_ERESTART) {
        long came = exo_take_unblockable(set, &info);
        sig = came != 0 ? came : sig;
    }
    if (sig > 0 && b != 0) {
        exo_siginfo_to_guest(&info);
        if (guest_put(b, &info) != 0)
            return -EFAULT;
    }
    return sig;
}

static long set_altstack(const struct k_stack *new, bool on_it)
{
    uint32_t mode = new->flags & ~SS_AUTODISARM_;
    struct exo_area *mine = area();
    if (on_it)
        return -EPERM;
    bool fresh = mine->altstack.size == 0 && mine->altstack.flags == SS_DISABLE_;
    if (fresh && new->sp == 0 && new->size == 0 && new->flags == 0)
        return 0; /* what a process has that has never set one: no change */
    if (mode != SS_DISABLE_ && mode != SS_ONSTACK_ && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE_) {
        mine->altstack = (struct k_stack){.flags = SS_DISABLE_ | (new->flags &SS_AUTODISARM_)};
        return 0;
    }
    if (new->size < MINSIGSTKSZ_)
        return -ENOMEM;
    mine->altstack =
        (struct k_stack){.sp = new->sp, .size = new->size, .flags = new->flags &SS_AUTODISARM_};
    return 0;
}

SYSCALL(sigaltstack)
{
    struct exo_area *mine = area();
    struct k_stack old = mine->altstack, new;
    bool on_it = exo_on_altstack(mine, mine->regs.rsp);
    if (a != 0) {
        if (guest_get(&new, a) != 0)
            return -EFAULT;
        long error = set_altstack(&new, on_it);
        if (error != 0)
            return error;
    }
    if (on_it)
        old.flags |= SS_ONSTACK_;
    old.pad = 0;
    return b != 0 ? guest_put(b, &old) : 0;
}
