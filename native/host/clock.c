/* The time stamp counter as a clock, since what a fiber's run has taken is asked at every switch; and
 * the host's futex, not FUTEX_PRIVATE: words may be shared with other processes. */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "fibers.h"

#define NS_PER_S 1000000000UL
#define MEASURED_NS 2000000UL
#define NS_MAX (1UL << 60) /* 36 years: as good as for ever */

static pthread_once_t measured = PTHREAD_ONCE_INIT;
static uint64_t cycles_per_s;
static uint64_t noted_ns, noted; /* the two clocks at a moment */

uint64_t exo_cycles_now(void)
{
    return __rdtsc();
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void exo_clock_note(void)
{
    noted_ns = now_ns();
    noted = __rdtsc();
}

/* Nowhere does the host say it to everybody. */
static void measure(void)
{
    uint64_t began_ns, began, ended_ns;
    if (noted_ns == 0)
        exo_clock_note();
    began_ns = noted_ns;
    began = noted;
    do
        ended_ns = now_ns();
    while (ended_ns - began_ns < MEASURED_NS);
    __uint128_t cycles = (__uint128_t)(__rdtsc() - began) * NS_PER_S;
    cycles_per_s = (uint64_t)(cycles / (ended_ns - began_ns));
}

static uint64_t cycles_of_ns(uint64_t ns)
{
    pthread_once(&measured, measure);
    return (uint64_t)((__uint128_t)ns * cycles_per_s / NS_PER_S);
}

uint64_t exo_cycles_of_ns(uint64_t ns)
{
    return cycles_of_ns(ns > NS_MAX ? NS_MAX : ns);
}

uint64_t exo_deadline(uint64_t timeout_ns)
{
    return timeout_ns > NS_MAX ? EXO_FOREVER : exo_cycles_now() + cycles_of_ns(timeout_ns);
}

uint64_t exo_ns_until(uint64_t deadline)
{
    uint64_t now = exo_cycles_now();
    if (deadline == EXO_FOREVER || deadline <= now)
        return deadline == EXO_FOREVER ? EXO_FOREVER : 0;
    pthread_once(&measured, measure);
    return (uint64_t)((__uint128_t)(deadline - now) * NS_PER_S / cycles_per_s) + 1;
}

void exo_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout_ns == EXO_FOREVER ? NULL : &timeout, NULL,
            0);
}
