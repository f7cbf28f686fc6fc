/* Calls that wait with a mask of their own: sigsuspend(2), ppoll(2), pselect(2), epoll_pwait(2).
 *
 * The host exchanges the masks. A signal that ends the wait finds its mask in force, as natively: the
 * handler's mask grows from it, more signals that it lets through come on top, and the frame of the
 * first one leads back to area.mask. What waits in the runtime and would end the wait is lent to the
 * host, which knows what comes first, news or signal.
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
    return mine->wait_masked ? mine->wait_mask : mine->mask;
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

long exo_wait_masked(const struct exo_wait_mask *mask, long nr, long a, long b, long c, long d,
                     long e, long f)
{
    struct exo_area *mine = area();
    if (mask == NULL)
        return host_wait(nr, a, b, c, d, e, f);
    if (mine->lazy)
        exo_mask_sync();
    uint64_t wanted = exo_pending_set() & ~mask->guest;
    long error = wanted ? lend(wanted) : 0;
    if (error != 0)
        return error;
    mine->wait_mask = mask->guest;
    store_release(&mine->wait_masked, 1U);
    long result = host_wait(nr, a, b, c, d, e, f);
    if (!was_ended(result))
        mine->wait_masked = 0;
    else if (result == -EXO_ERESTART)
        result = -EINTR;
    if (wanted)
        take_back();
    return result;
}
