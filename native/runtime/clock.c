/* Clocks whose id holds a process, a thread or an fd: clock_gettime(2) and kin, timer_create(2).
 *
 * Negative ids: ~number in the upper 29 bits, below them 3 for an fd (posix_clock), 4 or not for a
 * thread's or a process's CPU time. Source: clock_getcpuclockid(3), include/linux/posix-timers.h.
 */
#include "translate.h"

#define CLOCK_KIND 7
#define CLOCK_FD 3
#define NOBODY 0x0fffffffU /* what a clock's id has room for, and more than pids and fds have */
#define SIGEV_THREAD_ID_ 4

/* The host's id of a guest's clock; of nobody's, one that the host has no process or fd for. */
static void host_clock(long clock, int *host)
{
    int id = (int)clock;
    uint32_t number = ~(uint32_t)(id >> 3);
    *host = id;
    if (id >= 0 || number == 0) /* 0: the caller itself */
        return;
    if ((id & CLOCK_KIND) == CLOCK_FD) {
        int fd = exo_fd_host((int)number);
        *host = (int)(~(fd < 0 ? NOBODY : (uint32_t)fd) << 3) | CLOCK_FD;
        return;
    }
    uint32_t tid = exo_host_of(number);
    *host = (int)(~(tid == 0 ? NOBODY : tid) << 3) | (id & CLOCK_KIND);
}

static long with_clock(long nr, long a, long b, long c, long d)
{
    int clock;
    host_clock(a, &clock);
    return host_wait(nr, clock, b, c, d, 0, 0);
}

SYSCALL(clock_gettime)
{
    return with_clock(__NR_clock_gettime, a, b, 0, 0);
}

SYSCALL(clock_getres)
{
    return with_clock(__NR_clock_getres, a, b, 0, 0);
}

SYSCALL(clock_nanosleep)
{
    return with_clock(__NR_clock_nanosleep, a, b, c, d);
}

#define ADJ_READ_ONLY 0xa000 /* ADJ_OFFSET_SS_READ without the bit of ADJ_OFFSET_SINGLESHOT */

/* What is wrong with the clock, as the host says when asked to read it. */
static long refuse(long clock)
{
    struct {
        int64_t words[26];
    } timex = {0};
    long result = with_clock(__NR_clock_adjtime, clock, (long)&timex, 0, 0);
    return result < 0 ? result : -EPERM;
}

/* DIFFERS: the clock is the host's: adjtimex and clock_adjtime only read it, EPERM otherwise, as for
 * a process without CAP_SYS_TIME. */
static long adjust(long nr, long clock, uint64_t timex)
{
    uint32_t modes;
    if (guest_get(&modes, timex) == 0 && modes != 0 && (modes & ADJ_READ_ONLY) != ADJ_READ_ONLY)
        return nr == __NR_clock_adjtime && (int)clock != 0 ? refuse(clock) : -EPERM;
    return nr == __NR_adjtimex ? host_wait(nr, (long)timex, 0, 0, 0, 0, 0)
                               : with_clock(nr, clock, (long)timex, 0, 0);
}

SYSCALL(adjtimex)
{
    return adjust(__NR_adjtimex, 0, (uint64_t)a);
}

SYSCALL(clock_adjtime)
{
    return adjust(__NR_clock_adjtime, a, (uint64_t)b);
}

SYSCALL(timer_create)
{
    struct {
        uint64_t value;
        int32_t signo, notify, tid, rest[11];
    } event;
    int clock;
    host_clock(a, &clock);
    if (b == 0)
        return HOST_3(__NR_timer_create, clock, b, c);
    if (guest_get(&event, b) != 0)
        return -EFAULT;
    if (event.notify == SIGEV_THREAD_ID_) {
        event.tid = (int32_t)exo_host_of_or_none((uint32_t)event.tid);
    }
    return HOST_3(__NR_timer_create, clock, &event, c);
}
