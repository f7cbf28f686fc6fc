/* See now.h. Where the host's clock is the time stamp counter (kr->tsc), a thread asks the host at most once in
 * a millisecond, and counts cycles from there.
 *
 * The rate is the host's own, measured from one question to another, and always too small rather than too large: the
 * cycles of both questions are counted as if time had stood still. It is trusted for an eighth of the time for which
 * it was measured.
 */
#include "now.h"

#include <asm/unistd.h>

#define CLOCK_MONOTONIC_ 1
#define HORIZON_NS 1000000
#define TRUST 8              /* the horizon is that part of what was measured */
#define MEASURED 100000000   /* ns: then it is measured anew */
#define FORGOTTEN 1000000000 /* ns: longer ago, nothing is measured from there */
#define QUESTION 2000        /* cycles: one that took longer was interrupted */
#define SLEW 12 /* 1 / 2^12: so much slower the host may let its clock go from now on */

static uint64_t ask(void)
{
    int64_t now[2] = {0};
    exo_host_call(__NR_clock_gettime, CLOCK_MONOTONIC_, (long)now, 0, 0, 0, 0);
    return (uint64_t)now[0] * 1000000000 + (uint64_t)now[1];
}

static void begin_anew(struct exo_clock *mine, uint64_t tsc, uint64_t ns)
{
    mine->since_tsc = tsc;
    mine->since_ns = ns;
}

/* A rate that the host's clock has not kept up with is none: rdtsc may have begun to mean something else. */
static bool was_ahead(const struct exo_clock *mine, uint64_t span, uint64_t passed)
{
    return (uint64_t)((unsigned __int128)passed * mine->rate >> 32) > span + QUESTION;
}

static void measure(struct exo_clock *mine, uint64_t before, uint64_t ns, uint64_t after)
{
    uint64_t span = ns - mine->since_ns, passed = after - mine->since_tsc;
    uint64_t trusted = span / TRUST < HORIZON_NS ? span / TRUST : HORIZON_NS;
    if (ns <= mine->since_ns || after <= mine->since_tsc || was_ahead(mine, span, passed)) {
        mine->rate = mine->trusted = 0;
        begin_anew(mine, before, ns);
        return;
    }
    if (span < FORGOTTEN && trusted >= mine->trusted) {
        uint64_t rate = (span << 32) / passed;
        mine->rate = rate - (rate >> SLEW);
        mine->trusted = trusted;
    }
    if (span > MEASURED)
        begin_anew(mine, before, ns);
}

static __attribute__((noinline)) uint64_t by_host(const struct exo_kr *kr, struct exo_clock *mine)
{
    uint64_t before = __builtin_ia32_rdtsc(), ns = ask(), after = __builtin_ia32_rdtsc();
    mine->horizon = 0;
    if (kr->tsc != EXO_TSC_IS_CLOCK || after - before > QUESTION)
        return ns;
    measure(mine, before, ns, after);
    mine->tsc = after;
    mine->ns = ns;
    mine->horizon = mine->rate != 0 ? (mine->trusted << 32) / mine->rate : 0;
    return ns;
}

uint64_t exo_now_ns(const struct exo_kr *kr)
{
    struct exo_clock *mine = &exo_self()->clock;
    uint64_t passed = __builtin_ia32_rdtsc() - mine->tsc;
    if (__builtin_expect(passed < mine->horizon, 1))
        return mine->ns + (passed * mine->rate >> 32);
    return by_host(kr, mine);
}
