/* Task slots: numbers, families, and finding tasks, also while others come and go. */
#include "setup.h"

#define TID_LAST 4194303
#define TID_AFTER_WRAP 300

static void test_family(struct exo_kr *kr)
{
    begin_phase("family");
    uint32_t parent = exo_task_create(kr, 0, false);
    struct exo_task *tasks = kr->tasks;
    CHECK(parent != 0);
    CHECK_SAME(tasks[parent].state, EXO_TASK_EMBRYO);
    CHECK_SAME(tasks[parent].flags, EXO_TASK_LEADER);
    CHECK(tasks[parent].tid == 2 && tasks[parent].tgid == 2 && tasks[parent].ppid == 1);
    CHECK(tasks[parent].pgid == 1 && tasks[parent].sid == 1);
    CHECK_SAME(tasks[parent].leader_slot, parent);
    CHECK_SAME(tasks[parent].parent_slot, 0);
    tasks[parent].pgid = tasks[parent].sid = 2;
    tasks[parent].flags |= EXO_TASK_SHARES_MEMORY | EXO_TASK_EXECED;
    uint32_t thread = exo_task_create(kr, parent, true);
    CHECK(tasks[thread].tid == 3 && tasks[thread].tgid == 2 && tasks[thread].ppid == 1);
    CHECK_SAME(tasks[thread].leader_slot, parent);
    CHECK_SAME(tasks[thread].flags, 0);
    uint32_t child = exo_task_create(kr, thread, false); /* a thread's child is its process's */
    CHECK(tasks[child].tid == 4 && tasks[child].tgid == 4 && tasks[child].ppid == 2);
    CHECK(tasks[child].pgid == 2 && tasks[child].sid == 2);
    CHECK_SAME(tasks[child].parent_slot, parent);
    CHECK_SAME(tasks[child].leader_slot, child);
    CHECK_SAME(tasks[child].flags, EXO_TASK_LEADER | EXO_TASK_SHARES_MEMORY);
    uint32_t grandchild = exo_task_create(kr, child, false);
    CHECK_SAME(tasks[grandchild].parent_slot, child);

    exo_task_free_process(kr, parent);
    CHECK_SAME(tasks[parent].state, EXO_TASK_FREE);
    CHECK_SAME(tasks[thread].state, EXO_TASK_FREE);
    CHECK(exo_task_find(kr, 2) == 0 && exo_task_find(kr, 3) == 0);
    CHECK_SAME(exo_task_find(kr, 4), child);
    CHECK(tasks[child].ppid == 1 && tasks[child].parent_slot == 0);
    CHECK(tasks[grandchild].ppid == 4 && tasks[grandchild].parent_slot == child);
    exo_task_free_process(kr, grandchild);
    exo_task_free_process(kr, child);
    CHECK_SAME(exo_task_create(kr, 0, false), 1);
    exo_task_free(kr, 1);
}

static void test_find(struct exo_kr *kr)
{
    begin_phase("find");
    uint32_t slots[10], tids[10];
    for (uint32_t i = 0; i < 10; i++) {
        slots[i] = exo_task_create(kr, 0, false);
        tids[i] = kr->tasks[slots[i]].tid;
        exo_task_set_host(kr, slots[i], 5000 + i, 6000 + i);
        CHECK_SAME(kr->tasks[slots[i]].host_tgid, 6000 + i);
    }
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_SAME(exo_task_find(kr, tids[i]), slots[i]);
        CHECK_SAME(exo_task_find_host(kr, 5000 + i), slots[i]);
    }
    CHECK(exo_task_find(kr, 0) == 0 && exo_task_find_host(kr, 0) == 0);
    CHECK(exo_task_find(kr, tids[9] + 1) == 0 && exo_task_find_host(kr, 6000) == 0);
    for (uint32_t i = 0; i < 10; i += 2)
        exo_task_free(kr, slots[i]);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_SAME(exo_task_find(kr, tids[i]), i % 2 ? slots[i] : 0);
        CHECK_SAME(exo_task_find_host(kr, 5000 + i), i % 2 ? slots[i] : 0);
    }
    exo_task_free(kr, slots[0]); /* already free: nothing happens */
    for (uint32_t i = 1; i < 10; i += 2)
        exo_task_free(kr, slots[i]);
}

static void test_groups(struct exo_kr *kr)
{
    begin_phase("groups");
    kr->kernel_host_pgid = 700;
    kr->kernel_host_sid = 600;
    uint32_t leader = exo_task_create(kr, 0, false);
    uint32_t group = kr->tasks[leader].tid;
    kr->tasks[leader].pgid = group;
    kr->tasks[leader].host_pgid = 7001;
    exo_task_set_host(kr, leader, 7001, 7001);
    uint32_t member = exo_task_create(kr, leader, false);
    kr->tasks[member].host_pgid = 7001;
    exo_task_set_host(kr, member, 7002, 7002);
    CHECK_SAME(exo_task_pgid_of_host(kr, 700), 1);
    CHECK_SAME(exo_task_pgid_of_host(kr, 600), 1);
    CHECK_SAME(exo_task_pgid_of_host(kr, 7001), group);
    CHECK_SAME(exo_task_pgid_of_host(kr, 7003), 0);
    CHECK_SAME(exo_task_member_of(kr, group), 7001);
    exo_task_free_process(kr, leader);
    CHECK_SAME(exo_task_pgid_of_host(kr, 7001), group); /* a member is left */
    CHECK_SAME(exo_task_member_of(kr, group), 7001);
    exo_task_free_process(kr, member);
    CHECK_SAME(exo_task_pgid_of_host(kr, 7001), 0);
    CHECK_SAME(exo_task_member_of(kr, group), 0);
}

/* Fd tables go with the last task that has them. */
static void test_fd_table(struct exo_kr *kr)
{
    begin_phase("fd table");
    uint64_t table = exo_fd_table_create(kr);
    uint32_t slot = exo_task_create(kr, 0, false);
    kr->tasks[slot].fd_table = table;
    exo_task_free_process(kr, slot);
    CHECK_SAME(kr->free_tables, table);
    CHECK_SAME(exo_fd_table_create(kr), table);
    CHECK_SAME(kr->tasks[slot].fd_table, 0);
    exo_fd_table_release(kr, table);
}

static void test_turnover(struct exo_kr *kr)
{
    begin_phase("turnover");
    uint32_t slots[50] = {0};
    uint32_t last = kr->next_tid - 1;
    uint64_t random = 3;
    kr->task_high = 1;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t *slot = &slots[random_below(&random, COUNT(slots))];
        if (*slot != 0)
            exo_task_free_process(kr, *slot);
        *slot = exo_task_create(kr, 0, false);
        CHECK(*slot != 0);
        CHECK(kr->tasks[*slot].tid > last);
        last = kr->tasks[*slot].tid;
    }
    CHECK(kr->task_high <= COUNT(slots) + 2);
    for (uint32_t i = 0; i < COUNT(slots); i++)
        if (slots[i] != 0)
            exo_task_free_process(kr, slots[i]);
}

static uint32_t create_with_tid(struct exo_kr *kr, uint32_t tid)
{
    kr->next_tid = tid;
    uint32_t slot = exo_task_create(kr, 0, false);
    CHECK_SAME(kr->tasks[slot].tid, tid);
    return slot;
}

/* As in Linux, where pids start over at 300 (RESERVED_PIDS). */
static void test_tid_wrap(void)
{
    begin_phase("tid wrap");
    struct exo_kr *kr = region_create();
    create_with_tid(kr, TID_AFTER_WRAP);
    create_with_tid(kr, TID_AFTER_WRAP + 2);
    uint32_t member = create_with_tid(kr, 1000);
    kr->tasks[member].pgid = TID_AFTER_WRAP + 3; /* of leaders that are gone */
    kr->tasks[member].sid = TID_AFTER_WRAP + 5;
    uint32_t gone = create_with_tid(kr, TID_AFTER_WRAP + 1);
    exo_task_free(kr, gone);
    CHECK_SAME(kr->tids_wrapped, 0);
    kr->next_tid = TID_LAST - 1;
    static const uint32_t expected[] = {TID_LAST - 1,       TID_LAST,           TID_AFTER_WRAP + 1,
                                        TID_AFTER_WRAP + 4, TID_AFTER_WRAP + 6, TID_AFTER_WRAP + 7};
    for (uint32_t i = 0; i < COUNT(expected); i++)
        CHECK_SAME(kr->tasks[exo_task_create(kr, 0, i % 2)].tid, expected[i]);
    CHECK_SAME(kr->tids_wrapped, 1);
    kr->next_tid = TID_LAST - 1; /* and round again, now with both of these in use */
    CHECK_SAME(kr->tasks[exo_task_create(kr, 0, false)].tid, TID_AFTER_WRAP + 8);
    region_destroy(kr);
}

static void test_full(void)
{
    begin_phase("full");
    struct exo_kr *kr = region_create();
    for (uint32_t i = 1; i < EXO_TASK_COUNT; i++)
        CHECK_SAME(exo_task_create(kr, 0, false), i);
    CHECK_SAME(exo_task_create(kr, 0, false), 0);
    CHECK_SAME(exo_task_create(kr, 0, true), 0);
    CHECK_SAME(exo_task_find(kr, EXO_TASK_COUNT), EXO_TASK_COUNT - 1);
    exo_task_free(kr, 9000);
    exo_task_free(kr, 77);
    CHECK_SAME(exo_task_create(kr, 0, false), 77);
    CHECK_SAME(exo_task_create(kr, 0, false), 9000);
    CHECK_SAME(exo_task_create(kr, 0, false), 0);
    region_destroy(kr);
}

#define THREADS 4
#define ROUNDS 1500
#define HELD 6

struct shared {
    struct exo_kr *kr;
    uint32_t owner[EXO_TASK_COUNT]; /* atomic: 1 + index of the thread whose slot it is */
    uint8_t tid_seen[THREADS * ROUNDS * 2 + 100]; /* atomic */
};

static uint32_t create_one(struct shared *shared, uint32_t index, uint32_t parent, bool thread)
{
    uint32_t slot = exo_task_create(shared->kr, parent, thread);
    CHECK(slot != 0);
    CHECK_SAME(__atomic_exchange_n(&shared->owner[slot], index + 1, __ATOMIC_SEQ_CST), 0);
    uint32_t tid = shared->kr->tasks[slot].tid;
    CHECK(tid < sizeof(shared->tid_seen));
    CHECK_SAME(__atomic_exchange_n(&shared->tid_seen[tid], 1, __ATOMIC_SEQ_CST), 0);
    exo_task_set_host(shared->kr, slot, 100000 + tid, 100000 + tid);
    CHECK_SAME(exo_task_find(shared->kr, tid), slot);
    CHECK_SAME(exo_task_find_host(shared->kr, 100000 + tid), slot);
    return slot;
}

static void release_one(struct shared *shared, uint32_t index, uint32_t slot)
{
    CHECK_SAME(__atomic_exchange_n(&shared->owner[slot], 0, __ATOMIC_SEQ_CST), index + 1);
}

/* Processes of two threads; the second thread leaves by itself in every other one. */
static void come_and_go(struct worker *worker)
{
    struct shared *shared = worker->shared;
    uint32_t held[HELD][2] = {{0}};
    for (uint32_t i = 0; i < ROUNDS + HELD; i++) {
        uint32_t *pair = held[i % HELD];
        if (pair[0] != 0) {
            CHECK_SAME(shared->kr->tasks[pair[0]].state, EXO_TASK_EMBRYO);
            CHECK_SAME(shared->kr->tasks[pair[1]].state, EXO_TASK_EMBRYO);
            release_one(shared, worker->index, pair[1]);
            if (i % 2)
                exo_task_free(shared->kr, pair[1]);
            release_one(shared, worker->index, pair[0]);
            exo_task_free_process(shared->kr, pair[0]);
        }
        pair[0] = i < ROUNDS ? create_one(shared, worker->index, 0, false) : 0;
        pair[1] = i < ROUNDS ? create_one(shared, worker->index, pair[0], true) : 0;
    }
}

static void test_threads(void)
{
    begin_phase("threads");
    static struct shared shared;
    shared.kr = region_create();
    run_threads(THREADS, come_and_go, &shared);
    CHECK(shared.kr->task_high <= THREADS * (HELD + 1) * 2 + 1);
    for (uint32_t i = 1; i < shared.kr->task_high; i++) {
        CHECK_SAME(shared.kr->tasks[i].state, EXO_TASK_FREE);
        CHECK_SAME(exo_ids_of(shared.kr, i)->tid, 0);
        CHECK_SAME(exo_ids_of(shared.kr, i)->host_tid, 0);
    }
    CHECK_SAME(shared.kr->next_tid, 2 + THREADS * ROUNDS * 2);
    region_destroy(shared.kr);
}

int main(void)
{
    begin(20);
    struct exo_kr *kr = region_create();
    test_family(kr);
    test_find(kr);
    test_groups(kr);
    test_fd_table(kr);
    test_turnover(kr);
    region_destroy(kr);
    test_tid_wrap();
    test_full();
    test_threads();
    return 0;
}
