/* See asleep.h. */
#include "asleep.h"

uint32_t exo_sleepers(uint32_t number, bool writes, bool polls)
{
    uint32_t count = 0, what = number | (writes ? EXO_ASLEEP_WRITES : 0);
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        uint32_t on = load_acquire(&KR->tasks[i].asleep_on);
        bool may = on == what || (polls && (on & EXO_ASLEEP_POLLS));
        count += may && exo_alive_test(&KR->tasks[i]);
    }
    return count;
}
