/* See patience.h. Another CPU brings news soon if it is at work, this one if it is let. */
#include "patience.h"
#include "../core/atomic.h"

bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what)
{
    uint32_t looks = load_relaxed(&patience->looks) + 1, spent = 0, i = 0;
    store_relaxed(&patience->looks, looks);
    if (KR->cpu_count > 1)
        spent = exo_budget(load_relaxed(&patience->spins), EXO_SPIN_LIMIT, looks);
    for (; i < spent && !ready(object, what) && !area()->stashed; i++)
        spin_pause();
    if (spent != 0)
        store_relaxed(&patience->spins, exo_learnt(i, spent, EXO_SPIN_LIMIT));
    if (ready(object, what))
        return true;
    spent = exo_budget(load_relaxed(&patience->yields), EXO_YIELD_LIMIT, looks);
    for (i = 0; i < spent && !ready(object, what) && !area()->stashed; i++)
        HOST_0(__NR_sched_yield);
    if (spent != 0)
        store_relaxed(&patience->yields, exo_learnt(i, spent, EXO_YIELD_LIMIT));
    return ready(object, what);
}
