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

int64_t exo_host_find_dead(struct exo_kr *kr, uint64_t *found, uint32_t limit)
{
    uint32_t count = 0, high = __atomic_load_n(&kr->task_high, __ATOMIC_ACQUIRE);
    for (uint32_t slot = 1; slot < high && slot < EXO_TASK_COUNT && count < limit; slot++) {
        const struct exo_task *task = &kr->tasks[slot];
        uint64_t tid = task->tid;
        if (__atomic_load_n(&task->state, __ATOMIC_ACQUIRE) != EXO_TASK_FREE &&
            !exo_alive_test(task) && !is_on_host(task->host_tid))
            found[count++] = slot | tid << 32;
    }
    return count;
}
