/* SIGSEGV, SIGBUS and SIGSYS sent to a process whose thread that the host has chosen blocks them, while
 * others need not: they wait for whichever thread of the process lets them through first.
 *
 * The host does not know that the guest blocks them, so it never offers them to another thread. Who
 * adds one looks for a thread that would take it and sends it the signal again, as EXO_SI_FORWARD; who
 * is about to take one looks here after having said so (area.mask, wait_mask).
 *
 * Rules: no locks, as a host handler may come in between anywhere. CLONE_VM children have these
 * entries too: each is some process's, by its first thread's slot.
 */
#include "signal.h"

#define ENTRY_COUNT 8

enum { FREE, BUSY, FULL };

static struct entry {
    uint32_t state, leader;
    struct k_siginfo info;     /* in the host's numbers */
    uint8_t xstate_format[48]; /* for a thread that has never had a signal from the host */
} entries[ENTRY_COUNT];

static uint32_t my_leader(void)
{
    return area()->task->leader_slot;
}

static bool is_ours(const struct entry *entry)
{
    return load_acquire(&entry->state) == FULL && entry->leader == my_leader();
}

uint64_t exo_own_queue_set(void)
{
    uint64_t set = 0;
    if (likely(load_relaxed(&exo_mm.queued) == 0))
        return 0;
    for (int i = 0; i < ENTRY_COUNT; i++)
        set |= is_ours(&entries[i]) ? SIG_BIT(entries[i].info.signo) : 0;
    return set;
}

bool exo_own_queue_take(int sig, struct k_siginfo *info)
{
    for (int i = 0; i < ENTRY_COUNT; i++) {
        uint32_t full = FULL;
        if (!is_ours(&entries[i]) || entries[i].info.signo != sig ||
            !compare_exchange(&entries[i].state, &full, BUSY))
            continue;
        *info = entries[i].info;
        bool same = info->signo == sig && entries[i].leader == my_leader();
        if (same && area()->xstate_format[0] == 0)
            memcpy(area()->xstate_format, entries[i].xstate_format, 48);
        store_release(&entries[i].state, same ? FREE : FULL);
        if (!same)
            continue;
        fetch_add(&exo_mm.queued, (uint32_t)-1);
        return true;
    }
    return false;
}

/* A second one is dropped, as while one is pending; likewise when there is no room. */
static void put(int sig, const struct k_siginfo *info)
{
    if (exo_own_queue_set() & SIG_BIT(sig))
        return;
    for (int i = 0; i < ENTRY_COUNT; i++) {
        uint32_t none = FREE;
        if (!compare_exchange(&entries[i].state, &none, BUSY))
            continue;
        entries[i].leader = my_leader();
        entries[i].info = *info;
        entries[i].info.signo = sig;
        memcpy(entries[i].xstate_format, area()->xstate_format, 48);
        fetch_add(&exo_mm.queued, 1);
        store_release(&entries[i].state, FULL);
        return;
    }
}

static bool would_take(const struct exo_area *other, int sig)
{
    bool waits = load_acquire(&other->wait_masked) && !(other->wait_mask & SIG_BIT(sig));
    return waits || !(load_relaxed(&other->mask) & SIG_BIT(sig));
}

void exo_own_queue_add(int sig, const struct k_siginfo *info)
{
    struct k_siginfo forward = {.signo = sig, .code = EXO_SI_FORWARD};
    struct exo_area *mine = area(), *other;
    put(sig, info);
    full_fence();
    for (uint32_t i = 0; (other = exo_area_sibling(&i)) != NULL; i++)
        if (other != mine && would_take(other, sig) &&
            HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, other->core.host_tid, sig,
                   &forward) == 0)
            return;
}

/* A new process, alone in its memory, has nothing pending. */
void exo_own_queue_clear(void)
{
    if (exo_mm.queued == 0)
        return;
    memset(entries, 0, sizeof(entries));
    exo_mm.queued = 0;
}
