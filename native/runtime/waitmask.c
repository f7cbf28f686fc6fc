/* Calls that wait with a mask of their own: sigsuspend(2), ppoll(2), pselect(2), epoll_pwait(2).
 *
 * The host exchanges the masks. A signal that ends the wait finds its mask in force, as natively: the
 * handler's mask grows from it, more signals that it lets through come on top, and the frame of the
 * first one leads back to area.mask. What waits in the runtime and would end the wait is lent to the
 * host, which knows what comes first, news or signal; likewise for what looks at a signalfd.
 */
#include "signal.h"

struct exo_wait_mask exo_wait_mask_from(uint64_t guest)
{
    guest &= ~SIG_ALWAYS;
    return (struct exo_wait_mask){.guest = guest, .host = guest & ~SIG_UNBLOCKABLE};
}

uint64_t exo_wait_mask_now(void)
{
    const struct exo_area *mine = area();
    return mine->wait_masked == EXO_WAITS_MASKED ? mine->wait_mask : mine->mask;
}

uint64_t exo_wait_mask_end(void)
{
    uint64_t mask = exo_wait_mask_now();
    area()->wait_masked = 0;
    return mask;
}

/* Until take_back() the host blocks these, faults among them: no guest memory is touched. */
static long lend(uint64_t wanted)
{
    struct k_siginfo info;
    long error = exo_mask_set_now(area()->host_mask | wanted);
    while (error == 0 && exo_pending_take(&info, wanted))
        exo_pending_to_host(&info);
    return error;
}

/* What the wait has not taken comes to exo_host_handler(), and waits here again. */
static void take_back(void)
{
    exo_mask_set(~0UL);
    exo_mask_set(area()->stashed ? EXO_ALL_BUT_FAULTS : area()->host_mask);
}

/* Whether a signal has ended the wait that its mask let through. */
static bool was_ended(long result)
{
    const struct exo_area *mine = area();
    if (result == -EXO_ERESTARTNOHAND)
        return true;
    if (!mine->stashed)
        return false;
    /* Before the host's call: one of our three, which the host never blocks. */
    bool early = result == -EXO_ERESTART && (mine->mask & SIG_BIT(mine->stash_info.signo));
    return result == -EINTR || early;
}

/* What the wait is to see of what waits in the runtime: with a signalfd also what stays blocked. */
static uint64_t wanted(uint64_t mask)
{
    return exo_pending_set() & (exo_mm.signalfd ? ~0UL : ~mask);
}

static long wait_now(const long call[7])
{
    return host_wait(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
}

long exo_wait_call(struct exo_wait_mask *mask, const long call[7])
{
    struct exo_area *mine = area();
    if (mask == NULL && likely(!exo_mm.signalfd))
        return wait_now(call);
    if (mine->lazy)
        exo_mask_sync();
    mine->wait_mask = mask == NULL ? mine->mask : mask->guest;
    store_release(&mine->wait_masked, (uint32_t)EXO_WAITS_MASKED);
    full_fence(); /* against exo_own_queue_add() */
    uint64_t lent = wanted(mine->wait_mask);
    long result = lent ? lend(lent) : 0;
    if (mask != NULL)
        mask->host |= mask->guest & lent;
    if (result == 0)
        result = wait_now(call);
    if (mask == NULL || !was_ended(result))
        mine->wait_masked = 0;
    else if (result == -EXO_ERESTART)
        result = -EINTR;
    if (lent)
        take_back();
    return result;
}

long exo_wait_restarts(long result)
{
    const struct exo_area *mine = area();
    if (result != -EINTR || !mine->stashed)
        return result;
    struct k_sigaction action = exo_action_get(mine->sighand, mine->stash_info.signo);
    return action.handler > SIG_IGN_ && !(action.flags & SA_RESTART_) ? result : -EXO_ERESTART;
}
