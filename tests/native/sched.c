/* The scheduler: predictions, order, ageing, affinity, stealing, wakes; on one thread. */
#include "setup.h"

#include <errno.h>
#include <exo/sched.h>

#define CPUS 4
#define ENTITIES 200
#define NONSENSE (CPUS * 256 + 40 * 64) /* bytes that are written over */

static const int64_t runs[] = {100000, 3000000, 40000000}; /* ns: hot, normal, cold */

struct shared {
    _Alignas(64) struct exo_sched sched;
    struct exo_sched_cpu cpus[CPUS];
    struct exo_sched_entity entities[ENTITIES];
};

static void begin_sched(struct shared *shared, uint32_t cpus)
{
    struct exo_sched *sched = &shared->sched;
    memset(shared, 0, sizeof(*shared));
    CHECK(exo_sched_size(CPUS) <= offsetof(struct shared, entities));
    CHECK_SAME(exo_sched_init(sched, CPUS), 0);
    CHECK_SAME(
        exo_sched_set_entities(sched, shared->entities, sizeof(shared->entities[0]), ENTITIES), 0);
    for (uint32_t i = 0; i < cpus; i++)
        CHECK_SAME(exo_sched_attach(sched, i, i + 1), 0);
}

/* A ready entity of a class, on a CPU. */
static void add(struct exo_sched *sched, uint32_t cpu, uint32_t index, uint32_t class)
{
    CHECK_SAME(exo_sched_create(sched, index, index, 1UL << cpu), 0);
    for (int i = 0; i < 8; i++)
        exo_sched_account(sched, index, runs[class]);
    CHECK_SAME(exo_sched_at(sched, index)->predicted, class);
    CHECK_SAME(exo_sched_wake(sched, cpu, cpu + 1, index), 1);
    CHECK_SAME(exo_sched_set_affinity(sched, index, ~0UL), 0);
}

static void test_limits(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    uint8_t order[3] = {3, 0, 2}, twice[3] = {3, 3, 2};
    begin_sched(shared, 1);
    CHECK_SAME(exo_sched_set_thresholds(sched, 0, 5), -EINVAL);
    CHECK_SAME(exo_sched_set_thresholds(sched, 6, 5), -EINVAL);
    CHECK_SAME(exo_sched_set_order(sched, 1, order), 0);
    CHECK_SAME(exo_sched_set_order(sched, 0, order), -EINVAL);
    CHECK_SAME(exo_sched_set_order(sched, 1, twice), -EINVAL);
    CHECK_SAME(exo_sched_set_order(sched, CPUS, order), -EINVAL);
    CHECK_SAME(exo_sched_create(sched, 0, 0, 0), -EINVAL);
    CHECK_SAME(exo_sched_create(sched, ENTITIES, 0, 0), -EINVAL);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 1UL << CPUS), -EINVAL);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 0), 0);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 0), -EBUSY);
    CHECK_SAME(exo_sched_set_affinity(sched, 1, 1UL << CPUS), -EINVAL);
    CHECK_SAME(exo_sched_wake(sched, 0, 1, 0), -EINVAL);
    CHECK_SAME(exo_sched_attach(sched, 0, 2), -EBUSY);
    CHECK_SAME(exo_sched_attach(sched, CPUS, 2), -EINVAL);
    CHECK_SAME(exo_sched_pick(sched, 0), 0);
    CHECK_SAME(exo_sched_init(sched, 0), -EINVAL);
    CHECK_SAME(exo_sched_init(sched, EXO_SCHED_CPUS + 1), -EINVAL);
}

static void test_logarithm(void)
{
    CHECK_SAME(exo_sched_log(0), 0);
    CHECK_SAME(exo_sched_log(1), 1 << 16);
    CHECK_SAME(exo_sched_log(2), 3 << 15);
    CHECK_SAME(exo_sched_log((1L << 40) - 1), 40 << 16);
    uint32_t last = 0;
    for (int64_t run = 0; run < EXO_SCHED_RUN_MAX; run += 1 + run / 100) {
        CHECK(exo_sched_log(run) >= last);
        last = exo_sched_log(run);
    }
}

static void test_predictions(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 1);
    exo_sched_create(sched, 1, 7, 0);
    CHECK_SAME(exo_sched_at(sched, 1)->predicted, EXO_SCHED_HOT);
    exo_sched_account(sched, 1, runs[EXO_SCHED_COLD]); /* nothing known but that */
    CHECK_SAME(exo_sched_at(sched, 1)->predicted, EXO_SCHED_COLD);
    CHECK_SAME(exo_sched_at(sched, 1)->average, runs[EXO_SCHED_COLD]);
    exo_sched_create(sched, 2, 7, 0); /* another of its kind */
    CHECK_SAME(exo_sched_at(sched, 2)->predicted, EXO_SCHED_COLD);
    exo_sched_become(sched, 2, 8);
    CHECK_SAME(exo_sched_at(sched, 2)->predicted, EXO_SCHED_HOT);
    for (int i = 0; i < 50; i++) { /* a pattern is learnt: hot, hot, cold */
        uint32_t class = i % 3 == 2 ? EXO_SCHED_COLD : EXO_SCHED_HOT;
        if (i > 12)
            CHECK_SAME(exo_sched_at(sched, 2)->predicted, class);
        exo_sched_account(sched, 2, runs[class]);
    }
    sched->flags = EXO_SCHED_BY_AVERAGE;
    exo_sched_create(sched, 3, 0, 0);
    exo_sched_account(sched, 3, 100);
    exo_sched_account(sched, 3, 10100);
    CHECK_SAME(exo_sched_at(sched, 3)->average, 100 + (10000 * EXO_SCHED_ALPHA >> 16));
    exo_sched_account(sched, 3, -5);
    exo_sched_account(sched, 3, INT64_MAX);
    CHECK_SAME(exo_sched_at(sched, 3)->predicted, EXO_SCHED_COLD);
    CHECK(exo_sched_at(sched, 3)->average > 0);
}

static void test_order(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 1);
    uint32_t index = 1;
    for (int class = EXO_SCHED_COLD; class >= EXO_SCHED_HOT; class --, index += 2) {
        add(sched, 0, index, (uint32_t) class);
        add(sched, 0, index + 1, (uint32_t) class);
    }
    uint32_t want[] = {5, 6, 3, 4, 1, 2, 0};
    for (size_t i = 0; i < COUNT(want); i++)
        CHECK_SAME(exo_sched_pick(sched, 0), want[i]);
    CHECK(!exo_sched_is_ready(sched, 0));
}

/* Nobody waits longer than exo/sched.h says, whoever else wants to run. */
static void test_ageing(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    static const uint32_t gaps[] = {3, EXO_SCHED_AGE_NORMAL + 1, EXO_SCHED_AGE_COLD};
    uint64_t since[ENTITIES], ahead[ENTITIES], random = 5, picks = 0;
    uint32_t in_class[EXO_SCHED_CLASSES] = {0}, of[ENTITIES];
    begin_sched(shared, 1);
    for (uint32_t i = 1; i < 40; i++) {
        of[i] = i % 3;
        since[i] = 0;
        ahead[i] = in_class[of[i]]++;
        add(sched, 0, i, of[i]);
    }
    for (picks = 1; picks < 20000; picks++) {
        uint32_t index = exo_sched_pick(sched, 0);
        CHECK(index != 0);
        CHECK(picks - since[index] <= (ahead[index] + 1) * gaps[of[index]]);
        in_class[of[index]]--;
        uint32_t class = random_below(&random, 10) == 0 ? random_below(&random, 3) : of[index];
        exo_sched_at(sched, index)->predicted = of[index] = class;
        since[index] = picks;
        ahead[index] = in_class[class]++;
        exo_sched_requeue(sched, 0, index);
    }
}

static void test_affinity(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 3);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 1UL << 2), 0);
    CHECK_SAME(exo_sched_wake(sched, 0, 1, 1), 1);
    CHECK_SAME(exo_sched_pick(sched, 0), 0);
    CHECK_SAME(exo_sched_pick(sched, 2), 1);
    CHECK_SAME(exo_sched_set_affinity(sched, 1, 1UL << 1), 0);
    exo_sched_requeue(sched, 2, 1);
    CHECK_SAME(exo_sched_pick(sched, 2), 0);
    CHECK_SAME(exo_sched_pick(sched, 1), 1);
    exo_sched_block(sched, 1, 1);
    CHECK_SAME(exo_sched_set_affinity(sched, 1, ~0UL), 0);
    CHECK_SAME(exo_sched_wake(sched, EXO_SCHED_NO_CPU, 0, 1), 1);
    CHECK_SAME(exo_sched_pick(sched, 1), 1); /* where it was */
    for (uint32_t i = 10; i < 40; i++) {     /* new ones go where the least is to do */
        CHECK_SAME(exo_sched_create(sched, i, 0, 0), 0);
        CHECK_SAME(exo_sched_wake(sched, EXO_SCHED_NO_CPU, 0, i), 1);
    }
    uint32_t counts[3] = {0};
    for (uint32_t cpu = 0; cpu < 3; cpu++)
        while (exo_sched_pick(sched, cpu) != 0)
            counts[cpu]++;
    CHECK_SAME(counts[0] + counts[1] + counts[2], 30);
    CHECK(counts[0] >= 10 && counts[1] >= 9 && counts[2] >= 10);
}

static void test_stealing(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 3);
    add(sched, 0, 1, EXO_SCHED_HOT);
    add(sched, 0, 2, EXO_SCHED_HOT);
    add(sched, 0, 3, EXO_SCHED_NORMAL);
    CHECK(!exo_sched_is_ready(sched, 1));
    CHECK_SAME(exo_sched_pick(sched, 1), 0); /* hot and normal stay where they are warm */
    add(sched, 0, 4, EXO_SCHED_COLD);
    add(sched, 0, 5, EXO_SCHED_COLD);
    add(sched, 0, 6, EXO_SCHED_COLD);
    CHECK_SAME(exo_sched_set_affinity(sched, 4, 1), 0);
    CHECK(exo_sched_is_ready(sched, 1));
    CHECK_SAME(exo_sched_pick(sched, 1), 5);
    exo_sched_requeue(sched, 1, 5);
    CHECK_SAME(exo_sched_pick(sched, 2), 6);
    CHECK_SAME(exo_sched_pick(sched, 2), 0); /* 5 is alone, its CPU about to pick it */
    CHECK_SAME(exo_sched_pick(sched, 1), 5);
    uint32_t want[] = {1, 2, 3, 4, 0};
    for (size_t i = 0; i < COUNT(want); i++)
        CHECK_SAME(exo_sched_pick(sched, 0), want[i]);
}

static void test_tokens(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 2);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 0), 0);
    CHECK_SAME(exo_sched_wake(sched, 0, 1, 1), 1);
    CHECK_SAME(exo_sched_wake(sched, 0, 1, 1), 0); /* not blocked: the next block does not */
    CHECK_SAME(exo_sched_pick(sched, 0), 1);
    exo_sched_requeue(sched, 0, 1);
    CHECK_SAME(exo_sched_pick(sched, 0), 1);
    exo_sched_block(sched, 0, 1);
    CHECK_SAME(exo_sched_pick(sched, 0), 1);
    exo_sched_block(sched, 0, 1);
    CHECK_SAME(exo_sched_pick(sched, 0), 0);
    CHECK_SAME(exo_sched_wake(sched, 1, 2, 1), 1);
    CHECK_SAME(exo_sched_pick(sched, 0), 1);
    exo_sched_destroy(sched, 0, 1);
    CHECK_SAME(exo_sched_wake(sched, 0, 1, 1), 0);
    CHECK_SAME(exo_sched_create(sched, 1, 0, 0), 0);
}

static void test_owners(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 2);
    for (uint32_t i = 1; i < 10; i++)
        add(sched, 0, i, i % 3);
    CHECK_SAME(exo_sched_pick(sched, 0), 3);
    exo_sched_requeue(sched, 0, 3);
    exo_sched_detach(sched, 0);
    CHECK_SAME(exo_sched_pick(sched, 0), 0);
    uint32_t seen = 0;
    for (uint32_t index; (index = exo_sched_pick(sched, 1)) != 0; seen |= 1U << index)
        exo_sched_block(sched, 1, index);
    CHECK_SAME(seen, 0x3fe);
    exo_sched_detach(sched, 1);
    for (uint32_t i = 1; i < 10; i++) /* nobody is there: they wait */
        CHECK_SAME(exo_sched_wake(sched, EXO_SCHED_NO_CPU, 0, i), 1);
    CHECK_SAME(exo_sched_attach(sched, 1, 2), 0);
    for (seen = 0; seen != 0x3fe;) {
        uint32_t index = exo_sched_pick(sched, 1);
        CHECK(index != 0);
        seen |= 1U << index;
    }
}

static void test_waiting(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    begin_sched(shared, 1);
    double began = now_s();
    CHECK_SAME(exo_sched_wait(sched, 0, 20000000), -ETIMEDOUT);
    CHECK(now_s() - began >= 0.02);
    add(sched, 0, 1, EXO_SCHED_HOT);
    CHECK_SAME(exo_sched_wait(sched, 0, UINT64_MAX), 0);
}

/* Whatever stands in shared memory, nobody follows it elsewhere, and everybody comes to an end. */
static void test_nonsense(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    uint64_t random = 11;
    for (int round = 0; round < 300; round++) {
        begin_sched(shared, 2);
        for (uint32_t i = 1; i < 30; i++)
            add(sched, i % 2, i, i % 3);
        uint32_t owners[CPUS];
        for (int i = 0; i < CPUS; i++)
            owners[i] = shared->cpus[i].owner;
        for (int i = 0; i < 60; i++) {
            uint32_t value = random_below(&random, 3) == 0 ? random_below(&random, UINT32_MAX)
                                                           : random_below(&random, 40);
            memcpy((char *)shared->cpus + random_below(&random, NONSENSE / 4) * 4, &value, 4);
        }
        for (int i = 0; i < CPUS; i++) { /* a living owner's lock is waited for */
            shared->cpus[i].owner = owners[i];
            shared->cpus[i].lock = 0;
        }
        for (int i = 0; i < 100; i++) {
            uint32_t index = exo_sched_pick(sched, (uint32_t)i % 2);
            if (index != 0)
                exo_sched_requeue(sched, (uint32_t)i % 2, index);
            exo_sched_wake(sched, 0, 1, random_below(&random, 64));
            exo_sched_account(sched, random_below(&random, 64), 5);
        }
        exo_sched_detach(sched, 0);
        exo_sched_repair(sched, 2);
    }
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared));
    test_limits(shared);
    test_logarithm();
    test_predictions(shared);
    test_order(shared);
    test_ageing(shared);
    test_affinity(shared);
    test_stealing(shared);
    test_tokens(shared);
    test_owners(shared);
    test_waiting(shared);
    begin_phase("nonsense");
    test_nonsense(shared);
    return 0;
}
