/* How the kernel process waits, and how it finds out which guests have called.
 *
 * A guest sets its task's call_posted, then calls_posted, then looks at kernel_sleeping; we set
 * kernel_sleeping, then look at calls_posted. With a full fence between each pair one of the two
 * always sees the other, so no announcement is lost and nobody rings a bell that is not needed.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

enum { SPINS_PER_CLOCK_LOOK = 32 };

static bool calls_posted(struct exo_kr *kr)
{
    return __atomic_load_n(&kr->calls_posted, __ATOMIC_SEQ_CST) != 0;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool spin(struct exo_kr *kr, int64_t spin_ns)
{
    int64_t end_ns = spin_ns > 0 ? now_ns() + spin_ns : 0;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK_LOOK; i++) {
            if (calls_posted(kr))
                return true;
            __builtin_ia32_pause();
        }
    } while (spin_ns > 0 && now_ns() < end_ns);
    return false;
}

static int sleep_and_look(const struct exo_wait *wait)
{
    struct timespec timeout = {.tv_sec = wait->timeout_ns / 1000000000,
                               .tv_nsec = wait->timeout_ns % 1000000000};
    struct pollfd polled[3] = {{.fd = wait->doorbell, .events = POLLIN},
                               {.fd = wait->signals, .events = POLLIN},
                               {.fd = wait->control, .events = POLLIN}};
    uint64_t rings;
    int wake = 0;
    if (ppoll(polled, 3, wait->timeout_ns < 0 ? NULL : &timeout, NULL) < 0)
        return errno == EINTR ? 0 : -errno;
    if (polled[0].revents && read(wait->doorbell, &rings, sizeof rings) > 0)
        wake |= EXO_WAKE_CALLS;
    if (polled[1].revents)
        wake |= EXO_WAKE_SIGNALS;
    if (polled[2].revents)
        wake |= EXO_WAKE_CONTROL;
    return wake;
}

int exo_host_wait(const struct exo_wait *wait)
{
    struct exo_kr *kr = wait->kr;
    int wake = EXO_WAKE_CALLS;
    if (wait->spin_ns > 0 && spin(kr, wait->spin_ns))
        return wake;
    __atomic_store_n(&kr->kernel_sleeping, EXO_KERNEL_SLEEPING | wait->sleep_flags,
                     __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!calls_posted(kr))
        wake = sleep_and_look(wait);
    __atomic_store_n(&kr->kernel_sleeping, 0, __ATOMIC_SEQ_CST);
    return wake;
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
