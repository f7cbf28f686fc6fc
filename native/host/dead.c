/* Finds the slots of tasks that are gone, for a sweep: whoever owns slot 0's hand frees them then. */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

/* Zombies are there, and so is a task in the middle of an exec, which nobody holds alive then. */
static bool is_on_host(uint32_t host_tid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%u/stat", host_tid);
    return access(path, F_OK) == 0;
}

int64_t exo_host_find_dead(struct exo_kr *kr, struct exo_dead *found, uint32_t limit)
{
    uint32_t count = 0, high = __atomic_load_n(&kr->task_high, __ATOMIC_ACQUIRE);
    for (uint32_t slot = 1; slot < high && slot < EXO_TASK_COUNT && count < limit; slot++) {
        const struct exo_task *task = &kr->tasks[slot];
        uint32_t tid = task->tid;
        uint32_t host_tid = __atomic_load_n(&exo_ids_of(kr, slot)->host_tid, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&task->state, __ATOMIC_ACQUIRE) != EXO_TASK_FREE &&
            !exo_alive_test(task) && !is_on_host(host_tid))
            found[count++] = (struct exo_dead){.slot = slot, .tid = tid, .host_tid = host_tid};
    }
    return count;
}
