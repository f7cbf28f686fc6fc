/* Clocks whose id holds a process, a thread or an fd: clock_gettime(2) and kin, timer_create(2).
 *
 * Negative ids: ~number in the upper 29 bits, below them 3 for an fd (posix_clock), 4 or not for a
 * thread's or a process's CPU time. Source: clock_getcpuclockid(3), include/linux/posix-timers.h.
 */
#include "translate.h"

#define CLOCK_KIND 7
#define CLOCK_FD 3
#define SIGEV_THREAD_ID_ 4

/* The host's id of a guest's clock; 0 is a clock too, so errors are told apart: -EINVAL. */
static long host_clock(long clock, int *host)
{
    int id = (int)clock;
    uint32_t number = ~(uint32_t)(id >> 3);
    *host = id;
    if (id >= 0 || number == 0) /* 0: the caller itself */
        return 0;
    if ((id & CLOCK_KIND) == CLOCK_FD) {
        int fd = exo_fd_host((int)number);
        *host = (int)(~(uint32_t)fd << 3) | CLOCK_FD;
        return fd < 0 ? -EINVAL : 0;
    }
    uint32_t tid = exo_host_of(number);
    *host = (int)(~tid << 3) | (id & CLOCK_KIND);
    return tid == 0 ? -EINVAL : 0;
}

static long with_clock(long nr, long a, long b, long c, long d)
{
    int clock;
    long error = host_clock(a, &clock);
    return error ? error : host_wait(nr, clock, b, c, d, 0, 0);
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

SYSCALL(clock_adjtime)
{
    return with_clock(__NR_clock_adjtime, a, b, 0, 0);
}

SYSCALL(timer_create)
{
    struct {
        uint64_t value;
        int32_t signo, notify, tid, rest[11];
    } event;
    int clock;
    long error = host_clock(a, &clock);
    if (error != 0 || b == 0)
        return error ? error : HOST_3(__NR_timer_create, clock, b, c);
    if (guest_get(&event, b) != 0)
        return -EFAULT;
    if (event.notify == SIGEV_THREAD_ID_) {
        event.tid = (int32_t)exo_host_of((uint32_t)event.tid);
        if (event.tid == 0)
            return -EINVAL;
    }
    return HOST_3(__NR_timer_create, clock, &event, c);
}
