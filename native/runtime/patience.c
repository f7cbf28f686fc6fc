/* See patience.h. Another CPU brings news soon if it is at work, this one if it is let. */
#include "patience.h"
#include "../core/atomic.h"

#define SPIN_LIMIT 2048 /* pauses */
#define YIELD_LIMIT 16
#define TRY_EVERY 32

/* What to spend this time, of what is worth limit at most: nothing, but for a short try now and then,
 * where it has brought nothing lately. */
static uint32_t budget(uint32_t worth, uint32_t least, uint32_t limit, uint32_t looks)
{
    if (worth < least)
        return looks % TRY_EVERY == 0 ? limit / 8 : 0;
    return worth < limit ? worth : limit;
}

/* The same as left: news has come when i of spent had gone; spent, if none has. */
static uint32_t learnt(uint32_t i, uint32_t spent, uint32_t limit)
{
    return i < spent ? (i * 4 < limit ? i * 4 + limit / 8 : limit) : spent / 2;
}

bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what)
{
    uint32_t looks = load_relaxed(&patience->looks) + 1, i = 0;
    store_relaxed(&patience->looks, looks);
    uint32_t spent = KR->cpu_count > 1 ? budget(load_relaxed(&patience->spins), SPIN_LIMIT / 16,
                                                SPIN_LIMIT, looks)
                                       : 0;
    for (; i < spent && !ready(object, what) && !area()->stashed; i++)
        spin_pause();
    if (spent != 0)
        store_relaxed(&patience->spins, learnt(i, spent, SPIN_LIMIT));
    if (ready(object, what))
        return true;
    spent = budget(load_relaxed(&patience->yields), YIELD_LIMIT / 16, YIELD_LIMIT, looks);
    for (i = 0; i < spent && !ready(object, what) && !area()->stashed; i++)
        HOST_0(__NR_sched_yield);
    if (spent != 0)
        store_relaxed(&patience->yields, learnt(i, spent, YIELD_LIMIT));
    return ready(object, what);
}
