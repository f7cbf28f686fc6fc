/* Publishes what the kernel process has to say in a call frame, and wakes a guest asleep on it.
 *
 * A guest may be killed at any time and its slot taken by another: the sequence number, which a
 * slot never resets, tells whether the frame still holds the call that is answered.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

static int publish(struct exo_frame *frame, uint32_t sequence, uint32_t state)
{
    uint32_t old = __atomic_load_n(&frame->state, __ATOMIC_ACQUIRE) & ~EXO_FRAME_WAITING;
    if (frame->sequence != sequence || (old != EXO_FRAME_POSTED && old != EXO_FRAME_HOSTDONE))
        return -ESRCH;
    old = __atomic_exchange_n(&frame->state, state, __ATOMIC_ACQ_REL);
    if (old & EXO_FRAME_WAITING)
        syscall(SYS_futex, &frame->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return 0;
}

int exo_host_reply(struct exo_kr *kr, uint32_t slot, uint32_t sequence, int64_t result,
                   uint32_t flags)
{
    struct exo_frame *frame = &kr->frames[slot];
    if (frame->sequence != sequence)
        return -ESRCH;
    frame->result = result;
    frame->flags = flags;
    return publish(frame, sequence, EXO_FRAME_REPLY);
}

int exo_host_ask(struct exo_kr *kr, uint32_t slot, uint32_t sequence)
{
    return publish(&kr->frames[slot], sequence, EXO_FRAME_HOSTCALL);
}
