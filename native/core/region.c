/* Setting up a kernel region. */
#include <exo/core.h>

#include "atomic.h"

void exo_kr_init(struct exo_kr *kr, uint64_t size)
{
    kr->version = EXO_ABI_VERSION;
    kr->size = size;
    kr->heap_next = 64; /* 0 is no offset */
    kr->copy_next = EXO_KR_MAPPED_SIZE;
    kr->next_tid = 2;
    kr->task_high = 1;
    kr->cpu_count = 1;
    exo_ids_of(kr, 0)->tid = 1;
    kr->tasks[0].state = EXO_TASK_ALIVE;
    kr->tasks[0].flags = EXO_TASK_LEADER;
    kr->tasks[0].tid = kr->tasks[0].tgid = 1;
    kr->tasks[0].pgid = kr->tasks[0].sid = 1;
    store_release(&kr->magic, EXO_ABI_MAGIC);
}
