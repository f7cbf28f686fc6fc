/* Setting up a kernel region, and the names kept in it. */
#include <exo/core.h>

#include "atomic.h"
#include "mem.h"

void exo_kr_init(struct exo_kr *kr, uint64_t size)
{
    kr->version = EXO_ABI_VERSION;
    kr->size = size;
    kr->heap_next = (sizeof(struct exo_kr) + 4095) & ~4095UL;
    kr->next_tid = 2;
    kr->task_high = 1;
    kr->name_next = 1;
    kr->cpu_count = 1;
    kr->tids[0] = 1;
    kr->tasks[0].state = EXO_TASK_ALIVE;
    kr->tasks[0].flags = EXO_TASK_LEADER;
    kr->tasks[0].tid = kr->tasks[0].tgid = 1;
    kr->tasks[0].pgid = kr->tasks[0].sid = 1;
    store_release(&kr->magic, EXO_ABI_MAGIC);
}

uint16_t exo_name_add(struct exo_kr *kr, const char *name)
{
    size_t size = strlen(name);
    if (size >= EXO_NAME_SIZE)
        return 0;
    exo_lock_acquire(&kr->name_lock);
    uint32_t index = 1;
    while (index < kr->name_next && memcmp(kr->names[index], name, size + 1) != 0)
        index++;
    if (index == kr->name_next) {
        if (index < EXO_NAME_COUNT) {
            memcpy(kr->names[index], name, size + 1);
            kr->name_next = index + 1;
        } else {
            index = 0;
        }
    }
    exo_lock_release(&kr->name_lock);
    return (uint16_t)index;
}
