/* See asleep.h. */
#include "asleep.h"

#include "atomic.h"

uint32_t exo_sleepers(struct exo_kr *kr, uint32_t number, bool writes, bool polls)
{
    uint32_t count = 0, what = number | (writes ? EXO_ASLEEP_WRITES : 0);
    for (uint32_t i = 1; i < load_acquire(&kr->task_high) && i < EXO_TASK_COUNT; i++) {
        uint32_t on = load_acquire(&kr->tasks[i].asleep_on);
        bool may = on == what || (polls && (on & EXO_ASLEEP_POLLS));
        count += may && exo_alive_test(&kr->tasks[i]);
    }
    return count;
}
