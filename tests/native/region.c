/* A new kernel region, and the names kept in it. */
#include "setup.h"

static void test_init(const struct exo_kr *kr)
{
    CHECK(kr->magic == EXO_ABI_MAGIC);
    CHECK_SAME(kr->version, EXO_ABI_VERSION);
    CHECK_SAME(kr->size, REGION_SIZE);
    CHECK(kr->heap_next >= sizeof(struct exo_kr));
    CHECK_SAME(kr->heap_next % 4096, 0);
    CHECK_SAME(kr->next_tid, 2);
    CHECK_SAME(kr->task_high, 1);
    CHECK_SAME(kr->cpu_count, 1);
    CHECK_SAME(kr->tids[0], 1);
    CHECK_SAME(kr->image_count, 0);
    const struct exo_task *first = &kr->tasks[0];
    CHECK_SAME(first->state, EXO_TASK_ALIVE);
    CHECK(first->flags & EXO_TASK_LEADER);
    CHECK(first->tid == 1 && first->tgid == 1 && first->pgid == 1 && first->sid == 1);
    CHECK_SAME(first->ppid, 0);
}

static void test_names(struct exo_kr *kr)
{
    uint16_t status = exo_name_add(kr, "/proc/self/status");
    uint16_t stat = exo_name_add(kr, "/proc/self/stat");
    CHECK(status != 0 && stat != 0 && status != stat);
    CHECK_SAME(exo_name_add(kr, "/proc/self/status"), status);
    CHECK_SAME(exo_name_add(kr, "/proc/self/stat"), stat);
    CHECK(strcmp(kr->names[status], "/proc/self/status") == 0);
    CHECK(strcmp(kr->names[stat], "/proc/self/stat") == 0);
    char name[EXO_NAME_SIZE + 1];
    memset(name, 'x', sizeof(name));
    name[EXO_NAME_SIZE] = '\0';
    CHECK_SAME(exo_name_add(kr, name), 0); /* no room for the NUL */
    name[EXO_NAME_SIZE - 1] = '\0';
    uint16_t longest = exo_name_add(kr, name);
    CHECK(longest != 0);
    CHECK_SAME(exo_name_add(kr, name), longest);
    CHECK_SAME(kr->name_next, 4);
}

#define COMMON 200

static void add_names(struct worker *worker)
{
    struct exo_kr *kr = worker->shared;
    for (uint32_t i = 0; i < COMMON; i++) {
        char name[64];
        snprintf(name, sizeof(name), "/proc/%u", worker->index % 2 ? i : COMMON - 1 - i);
        uint16_t index = exo_name_add(kr, name);
        CHECK(index != 0);
        CHECK(strcmp(kr->names[index], name) == 0);
    }
}

static void test_names_of_threads(struct exo_kr *kr)
{
    uint32_t before = kr->name_next;
    run_threads(4, add_names, kr);
    CHECK_SAME(kr->name_next, before + COMMON);
}

static void test_names_full(struct exo_kr *kr)
{
    char name[64];
    for (uint32_t i = kr->name_next; i < EXO_NAME_COUNT; i++) {
        snprintf(name, sizeof(name), "%u", i);
        CHECK_SAME(exo_name_add(kr, name), i);
    }
    CHECK_SAME(exo_name_add(kr, "one too many"), 0);
    CHECK_SAME(exo_name_add(kr, name), EXO_NAME_COUNT - 1);
    CHECK_SAME(exo_name_add(kr, "/proc/self/status"), 1);
    CHECK_SAME(kr->name_next, EXO_NAME_COUNT);
}

int main(void)
{
    begin(30);
    struct exo_kr *kr = region_create();
    test_init(kr);
    CHECK_SAME(*(char *)exo_kr_at(kr, offsetof(struct exo_kr, tids)), 1);
    test_names(kr);
    test_names_of_threads(kr);
    test_names_full(kr);
    region_destroy(kr);
    return 0;
}
