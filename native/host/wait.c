/* How the kernel process waits, and how it finds out which guests have called.
 *
 * A guest sets its task's call_posted, then calls_posted, then looks at kernel_sleeping; we set
 * kernel_sleeping, then look at calls_posted. With a full fence between each pair one of the two
 * always sees the other, so no announcement is lost and nobody rings a bell that is not needed.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <exo/core.h>

#include "core/atomic.h"
#include "host.h"

enum { SPINS_PER_CLOCK_LOOK = 32 };

static bool calls_posted(struct exo_kr *kr)
{
    return __atomic_load_n(&kr->calls_posted, __ATOMIC_SEQ_CST) != 0;
}

static bool jobs_ended(const struct exo_wait *wait)
{
    return wait->jobs != NULL && __atomic_load_n(&wait->jobs->ended, __ATOMIC_SEQ_CST) != NULL;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool spin(const struct exo_wait *wait)
{
    int64_t end_ns = now_ns() + wait->spin_ns;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK_LOOK; i++) {
            if (calls_posted(wait->kr) || jobs_ended(wait))
                return true;
            __builtin_ia32_pause();
        }
    } while (now_ns() < end_ns);
    return false;
}

static int sleep_and_look(const struct exo_wait *wait)
{
    struct timespec timeout = {.tv_sec = wait->timeout_ns / 1000000000,
                               .tv_nsec = wait->timeout_ns % 1000000000};
    struct pollfd polled[4] = {{.fd = wait->doorbell, .events = POLLIN},
                               {.fd = wait->signals, .events = POLLIN},
                               {.fd = wait->control, .events = POLLIN},
                               {.fd = wait->jobs == NULL ? -1 : wait->jobs->fd, .events = POLLIN}};
    uint64_t rings;
    int wake = 0;
    if (ppoll(polled, 4, wait->timeout_ns < 0 ? NULL : &timeout, NULL) < 0)
        return errno == EINTR ? 0 : -errno;
    if (polled[0].revents && read(wait->doorbell, &rings, sizeof rings) > 0)
        wake |= EXO_WAKE_CALLS;
    if (polled[1].revents)
        wake |= EXO_WAKE_SIGNALS;
    if (polled[2].revents)
        wake |= EXO_WAKE_CONTROL;
    if (polled[3].revents && read(wait->jobs->fd, &rings, sizeof rings) > 0)
        wake |= EXO_WAKE_JOBS;
    return wake;
}

/* The same of workers: they look whether they are awaited behind what they have put there. */
static void announce(const struct exo_wait *wait, bool sleeps)
{
    uint32_t flags = sleeps ? EXO_KERNEL_SLEEPING | wait->sleep_flags : 0;
    __atomic_store_n(&wait->kr->kernel_sleeping, flags, __ATOMIC_SEQ_CST);
    if (wait->jobs != NULL)
        __atomic_store_n(&wait->jobs->awaited, sleeps, __ATOMIC_SEQ_CST);
    full_fence();
}

int exo_host_wait(const struct exo_wait *wait)
{
    int wake = EXO_WAKE_CALLS;
    if (wait->spin_ns <= 0 || !spin(wait)) {
        announce(wait, true);
        if (!calls_posted(wait->kr) && !jobs_ended(wait))
            wake = sleep_and_look(wait);
        announce(wait, false);
    }
    return jobs_ended(wait) ? wake | EXO_WAKE_JOBS : wake;
}

uint32_t exo_host_calls_take(struct exo_kr *kr, uint32_t *slots, uint32_t limit)
{
    uint32_t count = 0;
    if (!__atomic_exchange_n(&kr->calls_posted, 0, __ATOMIC_SEQ_CST))
        return 0;
    uint32_t high = __atomic_load_n(&kr->task_high, __ATOMIC_ACQUIRE);
    for (uint32_t slot = 0; slot < high && slot < EXO_TASK_COUNT; slot++) {
        uint32_t *posted = &kr->tasks[slot].call_posted;
        if (!__atomic_load_n(posted, __ATOMIC_RELAXED))
            continue;
        if (count == limit) {
            __atomic_store_n(&kr->calls_posted, 1, __ATOMIC_SEQ_CST);
            break;
        }
        if (__atomic_exchange_n(posted, 0, __ATOMIC_ACQUIRE))
            slots[count++] = slot;
    }
    return count;
}

void exo_host_kernel_serves(struct exo_kr *kr)
{
    __atomic_store_n(&kr->kernel_state, EXO_KERNEL_SERVES, __ATOMIC_SEQ_CST);
    exo_host_call(SYS_futex, (long)&kr->kernel_state, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}
