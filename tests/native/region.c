/* A new kernel region. */
#include "setup.h"

static void test_init(struct exo_kr *kr)
{
    CHECK(kr->magic == EXO_ABI_MAGIC);
    CHECK_SAME(kr->version, EXO_ABI_VERSION);
    CHECK_SAME(kr->size, REGION_SIZE);
    CHECK(kr->heap_next > 0 && kr->heap_next % 64 == 0);
    CHECK_SAME(offsetof(struct exo_kr, magic) % 65536, 2048); /* the slots' ids are in front */
    CHECK_SAME(kr->next_tid, 2);
    CHECK_SAME(kr->task_high, 1);
    CHECK_SAME(kr->cpu_count, 1);
    CHECK_SAME(exo_ids_of(kr, 0)->tid, 1);
    CHECK_SAME(kr->image_count, 0);
    const struct exo_task *first = &kr->tasks[0];
    CHECK_SAME(first->state, EXO_TASK_ALIVE);
    CHECK(first->flags & EXO_TASK_LEADER);
    CHECK(first->tid == 1 && first->tgid == 1 && first->pgid == 1 && first->sid == 1);
    CHECK_SAME(first->ppid, 0);
}

int main(void)
{
    begin(30);
    struct exo_kr *kr = region_create();
    test_init(kr);
    CHECK_SAME(*(uint32_t *)exo_kr_at(kr, offsetof(struct exo_kr, version)), EXO_ABI_VERSION);
    region_destroy(kr);
    return 0;
}
