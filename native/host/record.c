/* For who watches tasks: rings are set up, and a task that runs is told to look. */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/roster.h>

#include "../core/atomic.h"
#include "drain.h"

int exo_record_init(struct exo_kr *kr)
{
    uint32_t rings = kr->cpu_count < EXO_RECORD_RING_COUNT ? kr->cpu_count : EXO_RECORD_RING_COUNT;
    struct exo_ringset *set = exo_drain_rings(kr);
    _Static_assert(sizeof(struct exo_told) == EXO_RING_PAYLOAD, "an event's record fills a slot");
    if (exo_ringset_size(rings, EXO_RECORD_ORDER) > EXO_RECORD_RINGS_SIZE - 128)
        return -EINVAL;
    exo_kr_unregister(kr, set);
    int error = exo_ringset_init(set, rings, EXO_RECORD_ORDER, EXO_RING_MPSC, 0);
    return error != 0 ? error : exo_kr_register(kr, set);
}

void exo_record_close(struct exo_kr *kr)
{
    store_release(&kr->recording.on, 0);
    exo_ringset_close(exo_drain_rings(kr));
}

/* 0, or -errno: the task is gone. */
int exo_record_call_task(struct exo_kr *kr, uint32_t slot)
{
    const struct exo_task *task = &kr->tasks[slot];
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    info.si_signo = EXO_CALLING;
    info.si_code = EXO_SI_TRACE;
    fetch_or(&kr->traces[slot].work, EXO_WORK_RECORD);
    if (task->flags & EXO_TASK_EXECUTES)
        return 0;
    long done = syscall(SYS_rt_tgsigqueueinfo, task->host_tgid, task->host_tid, EXO_CALLING, &info);
    return done < 0 ? -errno : 0;
}

void exo_record_walked(struct exo_kr *kr, uint32_t slot, uint32_t tid)
{
    if (slot == 0 || slot >= EXO_TASK_COUNT || kr->tasks[slot].tid != tid)
        return;
    store_release(&kr->stages[slot].walked, 1);
    syscall(SYS_futex, &kr->stages[slot].walked, FUTEX_WAKE, 1, NULL, NULL, 0);
}

uint64_t exo_host_tsc(void)
{
    return __builtin_ia32_rdtsc();
}
