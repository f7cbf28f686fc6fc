/* See patience.h. Another CPU brings news soon if it is at work, this one if it is let.
 *
 * What a look has brought decides how long the next one is; after a few that brought nothing there are
 * none. Two who answer each other would then both sleep at each message, for ever: a short look finds
 * nothing, as the other has to be woken first. So a sleep that was short is a reason to look once for as
 * long as it takes to wake the other, which then finds us awake. Where that brings nothing, both on one
 * CPU perhaps, the next such try comes twice as late, so they cost a hundredth of the time at most.
 *
 * Who yields to somebody that computes gets the CPU back when that one's time slice is over, some
 * milliseconds later; who sleeps and is woken gets it at once. So a process that has met such a neighbour
 * neither looks nor yields for some time: it sleeps, as on the host. The next meeting makes it twice as long.
 */
#include "patience.h"
#include "../core/atomic.h"
#include "nap.h"

#define SPIN_LIMIT 2048 /* pauses */
#define YIELD_LIMIT 16
#define YIELD_FIRST 8    /* pauses before others are let run */
#define OTHER_RAN 3      /* units of 1024 cycles: a yield alone is faster */
#define OTHER_WORKS 256  /* the same: others who run for so long are not to be waited for */
#define OTHER_HOGS 2560  /* the same: others who have run for so long compute, and will again */
#define CROWDED 8192     /* the same: how long nobody is let run after that, first */
#define CROWDED_LIMIT 6  /* how often that is doubled */
#define YIELDS_WANTED 6  /* others are let run so often, if they run shortly */
#define SPIN_SHORT 300   /* pauses, where nobody else wants the CPU: to wake it would take longer */
#define YIELD_EVERY 32   /* looks: how often to try again whether yields help */
#define SHORT_SLEEP 2048 /* units of 1024 cycles */
#define TRY_AGAIN 256    /* the same: about what SPIN_LIMIT takes */
#define FAILURES_LIMIT 7 /* then it is 128 times that */

struct looking {
    bool (*ready)(const void *, int);
    const void *object;
    int what;
};

static bool has_news(const struct looking *by)
{
    return by->ready(by->object, by->what);
}

/* What is worth as much as to look for so long, of limit: news has come when i of spent had gone; spent,
 * if none has. */
static uint32_t learnt(uint32_t i, uint32_t spent, uint32_t limit)
{
    return i < spent ? (i * 4 < limit ? i * 4 + limit / 8 : limit) : spent / 2;
}

/* How often of late a yield of this process's was answered by somebody who computes, and when last. */
HOT static uint32_t crowded, crowded_since;

static bool is_crowded(void)
{
    uint32_t times = load_relaxed(&crowded);
    return times != 0 && exo_moment() - load_relaxed(&crowded_since) < (uint32_t)CROWDED
                                                                           << times % 32;
}

static void note_run(uint32_t ran)
{
    uint32_t times = load_relaxed(&crowded);
    if (ran >= OTHER_HOGS) {
        store_relaxed(&crowded, times < CROWDED_LIMIT ? times + 1 : times);
        store_relaxed(&crowded_since, exo_moment());
    } else if (times != 0) {
        store_relaxed(&crowded, times - 1);
    }
}

/* Lets others run on this CPU: for how long, in units of 1024 cycles, nobody did if no longer than OTHER_RAN. */
static uint32_t let_run(void)
{
    uint32_t since = exo_moment();
    HOST_0(__NR_sched_yield);
    uint32_t ran = exo_moment() - since;
    note_run(ran);
    return ran;
}

/* Others have run when let. They may be who brings the news, one after the other; to sleep and be woken costs more
 * than a few such turns. */
static void let_run_on(const struct looking *by, uint32_t ran)
{
    for (int i = 0; i < YIELDS_WANTED && ran > OTHER_RAN && ran < OTHER_WORKS && !has_news(by); i++)
        ran = let_run();
}

/* How many pauses until there was news, count for none. To spin where others could run would delay the very
 * news that we wait for, so they are let run now and then. */
static uint32_t spin(const struct looking *by, uint32_t count)
{
    uint32_t i = 0, until_yield = YIELD_FIRST;
    for (; i < count && !has_news(by) && !area()->stashed; i++) {
        spin_pause();
        if (i != until_yield)
            continue;
        until_yield *= 2;
        uint32_t ran = let_run();
        if (ran > OTHER_RAN) {
            let_run_on(by, ran);
            return count; /* what news there is has come by letting others run */
        }
    }
    return i;
}

static bool may_try(const struct exo_patience *patience)
{
    uint32_t failures = load_relaxed(&patience->failures), since = load_relaxed(&patience->failed);
    return load_relaxed(&patience->hope) &&
           (failures == 0 || exo_moment() - since >= (uint32_t)TRY_AGAIN
                                                         << failures % (FAILURES_LIMIT + 1));
}

/* A look of full length, where shorter ones have brought nothing. */
static void try_spin(struct exo_patience *patience, const struct looking *by)
{
    uint32_t i = spin(by, SPIN_LIMIT), failures = load_relaxed(&patience->failures);
    if (i < SPIN_LIMIT) {
        store_relaxed(&patience->failures, (uint8_t)0);
        store_relaxed(&patience->spins, (uint16_t)learnt(i, SPIN_LIMIT, SPIN_LIMIT));
        return;
    }
    failures += failures < FAILURES_LIMIT;
    store_relaxed(&patience->failures, (uint8_t)failures);
    store_relaxed(&patience->failed, exo_moment());
}

static void look_by_spinning(struct exo_patience *patience, const struct looking *by)
{
    uint32_t worth = load_relaxed(&patience->spins);
    if (worth >= SPIN_LIMIT / 16) {
        worth = worth < SPIN_LIMIT ? worth : SPIN_LIMIT;
        store_relaxed(&patience->spins, (uint16_t)learnt(spin(by, worth), worth, SPIN_LIMIT));
    } else if (may_try(patience)) {
        try_spin(patience, by);
    }
}

static void look_by_yielding(struct exo_patience *patience, const struct looking *by)
{
    uint32_t count = load_relaxed(&patience->yields), i = 0;
    uint32_t looks = load_relaxed(&patience->looks) + 1U;
    store_relaxed(&patience->looks, (uint16_t)looks);
    if (count == 0)
        count = looks % YIELD_EVERY == 0 ? YIELD_LIMIT / 8 : 0;
    if (count == 0)
        return;
    count = count < YIELD_LIMIT ? count : YIELD_LIMIT;
    for (; i < count && !has_news(by) && !area()->stashed && !is_crowded(); i++)
        let_run();
    store_relaxed(&patience->yields, (uint8_t)learnt(i, count, YIELD_LIMIT));
}

bool exo_look_awake(struct exo_patience *patience, bool (*ready)(const void *, int),
                    const void *object, int what)
{
    const struct looking by = {.ready = ready, .object = object, .what = what};
    exo_nap_pay();
    if (KR->cpu_count > 1 && !is_crowded())
        look_by_spinning(patience, &by);
    return has_news(&by);
}

bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what)
{
    const struct looking by = {.ready = ready, .object = object, .what = what};
    if (exo_look_awake(patience, ready, object, what) || is_crowded())
        return has_news(&by);
    look_by_yielding(patience, &by);
    if (KR->cpu_count > 1 && load_relaxed(&patience->hope) && !has_news(&by))
        spin(&by, SPIN_SHORT);
    return has_news(&by);
}

void exo_slept(struct exo_patience *patience, uint32_t since)
{
    bool hope = exo_moment() - since < SHORT_SLEEP;
    if (load_relaxed(&patience->hope) != hope)
        store_relaxed(&patience->hope, (uint16_t)hope);
}
