/* The thread's signal mask: area.mask is the guest's, area.host_mask what of it the host knows.
 *
 * The host never blocks SIG_UNBLOCKABLE; what is sent of these while the guest blocks them waits in
 * own_info. Beyond that the host may block less while a handler runs ("lazy"), so that to enter and
 * to leave one needs no host call. The first signal that comes nevertheless is held, and from then
 * on the host blocks all that the guest does, until held is delivered.
 *
 * Rules for being lazy:
 *   - one thread only: a signal to the process must not choose this thread instead of another;
 *   - only signals that come to exo_host_handler: a default action would not wait;
 *   - not with a signalfd, which could not see a held signal;
 *   - host_wait() makes the masks equal first, so no call is cut short by a blocked signal.
 */
#include "signal.h"
#include "translate.h"

#define MASK_SIZE 8
#define OWN_COUNT 4 /* of SIG_UNBLOCKABLE, at most */

static const uint8_t own_signals[OWN_COUNT] = {SIGTRAP_, SIGBUS_, SIGSEGV_, SIGSYS_};

static uint64_t for_host(uint64_t mask)
{
    return mask & ~SIG_UNBLOCKABLE;
}

static void compiler_fence(void)
{
    __asm__ volatile("" : : : "memory");
}

static uint64_t swap_mask(uint64_t mask)
{
    uint64_t old = 0;
    HOST_4(__NR_rt_sigprocmask, SIG_SETMASK_, &mask, &old, MASK_SIZE);
    return old;
}

uint64_t exo_mask_block_all(void)
{
    return swap_mask(EXO_ALL_BUT_FAULTS);
}

/* Faults too: for where the thread does not know who it is, and touches no guest memory. With a
 * signal stashed already the mask is not the guest's: -EXO_ERESTART. */
long exo_mask_block_everything(uint64_t *old)
{
    uint64_t all = ~0UL;
    return host_wait(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&all, (long)old, MASK_SIZE, 0, 0);
}

void exo_mask_set(uint64_t mask)
{
    swap_mask(mask);
}

/* Not with a signal stashed: -EXO_ERESTART. */
long exo_mask_set_now(uint64_t mask)
{
    return host_wait(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&mask, 0, MASK_SIZE, 0, 0);
}

/* As inherited over exec; what was sent of our three while the guest blocked them comes now. */
void exo_mask_init(void)
{
    struct exo_area *mine = area();
    HOST_4(__NR_rt_sigprocmask, SIG_BLOCK_, 0, &mine->mask, MASK_SIZE);
    mine->host_mask = for_host(mine->mask);
    if (mine->host_mask != mine->mask)
        exo_mask_set(mine->host_mask);
}

/* Tells the host what the guest has blocked. Called by host_wait(), too, with lazy set. */
void exo_mask_sync(void)
{
    struct exo_area *mine = area();
    uint64_t mask = for_host(mine->mask);
    mine->lazy = 0;
    if (exo_mask_set_now(mask) == 0)
        mine->host_mask = mask;
    else
        mine->lazy = 1;
}

static bool may_be_lazy(const struct exo_area *mine, uint64_t mask)
{
    uint64_t more = for_host(mask) & ~mine->host_mask;
    return exo_alone() && !exo_mm.signalfd && mine->held.signo == 0 &&
           !(more & ~mine->sighand->handled) && !(mine->host_mask & ~for_host(mask));
}

/* A handler begins: the guest's mask is now `mask`, which only grows, unless the handler ends a wait
 * that had its own. Whether the host's may stay. */
bool exo_mask_grow(uint64_t mask)
{
    struct exo_area *mine = area();
    bool lazy = may_be_lazy(mine, mask);
    mine->mask = mask;
    if (!lazy)
        mine->host_mask = for_host(mask);
    compiler_fence();
    mine->lazy = for_host(mask) != mine->host_mask;
    return lazy;
}

/* The same in the middle of a call, with the host's mask in force: 0 or -EXO_ERESTART. */
long exo_mask_grow_now(uint64_t mask)
{
    struct exo_area *mine = area();
    if (!may_be_lazy(mine, mask) && for_host(mask) != mine->host_mask) {
        long error = exo_mask_set_now(for_host(mask));
        if (error != 0)
            return error;
        mine->host_mask = for_host(mask);
    }
    exo_mask_grow(mask);
    return 0;
}

/* Takes that back, with a signal stashed. */
void exo_mask_shrink(uint64_t mask)
{
    struct exo_area *mine = area();
    mine->mask = mask;
    mine->host_mask = for_host(mask);
    mine->lazy = 0;
}

/* The guest's mask is to be `mask`: 0, or -EXO_ERESTART before anything has changed. */
long exo_mask_change(uint64_t mask)
{
    struct exo_area *mine = area();
    uint64_t before = mine->mask;
    mask &= ~SIG_ALWAYS;
    if (for_host(mask) == mine->host_mask) {
        mine->mask = mask; /* from here on nothing is held any more */
        compiler_fence();
        mine->lazy = 0;
    }
    if (for_host(mask) != mine->host_mask) {
        if (mine->lazy)
            exo_mask_sync();
        if (!exo_pending_stash(mask)) { /* else the rest comes after that one */
            long error = exo_mask_set_now(for_host(mask));
            if (error != 0)
                return error;
        }
        mine->mask = mask;
        mine->host_mask = for_host(mask);
        mine->lazy = 0;
    }
    if ((before & ~mask & SIG_UNBLOCKABLE) && !exo_alone())
        full_fence(); /* against exo_own_queue_add() */
    exo_pending_stash(mask);
    return 0;
}

/* A signal that only the guest has blocked, or one of our three: it waits here. */
bool exo_signal_hold(int sig, const struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    if (!(for_host(mine->mask) & ~mine->host_mask & SIG_BIT(sig)))
        return false;
    mine->held = *info;
    mine->held.signo = sig;
    exo_siginfo_to_guest(&mine->held);
    mine->host_mask = for_host(mine->mask);
    mine->lazy = 0;
    uc->sigmask = mine->host_mask;
    return true;
}

void exo_own_add(int sig, const struct k_siginfo *info)
{
    struct exo_area *mine = area();
    for (int i = 0; i < OWN_COUNT; i++) {
        if (own_signals[i] != sig || (mine->own_pending & SIG_BIT(sig)))
            continue;
        mine->own_info[i] = *info;
        mine->own_info[i].signo = sig;
        exo_siginfo_to_guest(&mine->own_info[i]);
        mine->own_pending |= SIG_BIT(sig);
    }
}

/* What waits in the runtime. */
uint64_t exo_pending_set(void)
{
    const struct exo_area *mine = area();
    return mine->own_pending | exo_own_queue_set() |
           (mine->held.signo ? SIG_BIT(mine->held.signo) : 0);
}

/* Takes the lowest of `wanted` that waits here; false if none does. */
bool exo_pending_take(struct k_siginfo *info, uint64_t wanted)
{
    struct exo_area *mine = area();
    uint64_t ready = exo_pending_set() & wanted;
    if (ready == 0)
        return false;
    int sig = __builtin_ctzl(ready) + 1;
    if (sig != mine->held.signo && !(mine->own_pending & SIG_BIT(sig))) {
        if (!exo_own_queue_take(sig, info)) /* another thread has */
            return exo_pending_take(info, wanted);
        exo_siginfo_to_guest(info);
        return true;
    }
    if (sig == mine->held.signo) {
        *info = mine->held;
        mine->held.signo = 0;
        return true;
    }
    for (int i = 0; i < OWN_COUNT; i++)
        if (own_signals[i] == sig)
            *info = mine->own_info[i];
    mine->own_pending &= ~SIG_BIT(sig);
    return true;
}

/* Stashes the lowest that waits here and is not in `blocked`; false also if one is stashed already. */
bool exo_pending_stash(uint64_t blocked)
{
    struct exo_area *mine = area();
    if (likely(!(exo_pending_set() & ~blocked)) || mine->stashed)
        return false;
    exo_mask_block_all();
    if (mine->stashed)
        return false;
    mine->stashed = 1; /* first: what comes now of our three sees that and waits */
    compiler_fence();
    if (exo_pending_take(&mine->stash_info, ~blocked))
        return true;
    mine->stashed = 0; /* another thread has it */
    compiler_fence();
    exo_mask_set(mine->host_mask);
    return exo_pending_stash(blocked);
}

/* The action for sig ignores it now. */
void exo_pending_discard(int sig)
{
    struct exo_area *mine = area();
    struct k_siginfo dropped;
    mine->own_pending &= ~SIG_BIT(sig);
    if (exo_own_queue_set() & SIG_BIT(sig))
        exo_own_queue_take(sig, &dropped);
    if (mine->held.signo == sig)
        mine->held.signo = 0;
}

/* To the host, which keeps it in its queue: still blocked, so it comes later. */
void exo_pending_to_host(struct k_siginfo *info)
{
    const struct exo_area *mine = area();
    bool own = SIG_UNBLOCKABLE & SIG_BIT(info->signo); /* another thread's host mask would not do */
    bool to_thread = info->code == SI_TKILL_ || (own && !exo_alone());
    exo_siginfo_to_host(info);
    if (to_thread || mine->core.host_tid != mine->leader->host_tgid)
        HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid, info->signo,
               info);
    else
        HOST_3(__NR_rt_sigqueueinfo, mine->leader->host_tgid, info->signo, info);
}

/* For a signalfd: from now on everything that is blocked waits on the host. */
void exo_held_to_host(void)
{
    struct exo_area *mine = area();
    struct k_siginfo info;
    exo_mm.signalfd = 1;
    if (mine->lazy)
        exo_mask_sync();
    if (mine->held.signo != 0) {
        info = mine->held;
        mine->held.signo = 0;
        exo_pending_to_host(&info);
    }
}

/* The host hands on mask and pending signals; no guest memory is touched until exec is over. */
void exo_mask_before_exec(void)
{
    struct exo_area *mine = area();
    struct k_siginfo info = {.signo = SIGSYS_};
    if (mine->lazy)
        exo_mask_sync();
    if (!(mine->mask & SIG_UNBLOCKABLE) && exo_pending_set() == 0)
        return;
    if (exo_mask_set_now(mine->mask) != 0)
        return; /* a signal is stashed: there will be no exec */
    while (exo_pending_take(&info, ~0UL))
        exo_pending_to_host(&info);
}

void exo_mask_after_failed_exec(void)
{
    struct exo_area *mine = area();
    if (mine->mask & SIG_UNBLOCKABLE)
        exo_mask_set_now(mine->host_mask);
}

/* A new process begins with nothing pending. */
void exo_mask_after_fork(void)
{
    struct exo_area *mine = area();
    mine->own_pending = 0;
    mine->held.signo = 0;
    exo_own_queue_clear();
}
