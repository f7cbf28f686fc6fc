/* Slots of which a sweep has found nobody on the host: whether a newborn has it, or nobody. */
#include "setup.h"

#define ROUNDS 3000
#define HOST 100000 /* no process has numbers from here on */

/* The slot of a child whose maker was killed, and reaped, before it had told who is its child. */
static uint32_t orphan_create(struct exo_kr *kr)
{
    uint32_t maker = exo_task_create(kr, 0, false);
    uint32_t slot = exo_task_create(kr, maker, false);
    exo_task_free_process(kr, maker);
    CHECK_SAME(kr->tasks[slot].state, EXO_TASK_EMBRYO);
    CHECK_SAME(kr->tasks[slot].parent_slot, 0);
    return slot;
}

static void check_free(struct exo_kr *kr, uint32_t slot)
{
    CHECK_SAME(kr->tasks[slot].state, EXO_TASK_FREE);
    CHECK_SAME(exo_ids_of(kr, slot)->tid, 0);
    CHECK_SAME(exo_ids_of(kr, slot)->host_tid, 0);
}

static void test_never_born(struct exo_kr *kr)
{
    begin_phase("never born");
    uint32_t slot = orphan_create(kr), tid = kr->tasks[slot].tid;
    CHECK(!exo_task_reclaim(kr, slot, tid + 1, 0));
    CHECK(!exo_task_reclaim(kr, slot, tid, HOST));
    CHECK(exo_task_reclaim(kr, slot, tid, 0));
    check_free(kr, slot);
    CHECK(!exo_task_reclaim(kr, slot, tid, 0));
    CHECK(!exo_task_claim(kr, slot, tid, HOST)); /* born all the same: it has no slot */
    uint32_t others = exo_task_create(kr, 0, false);
    CHECK_SAME(exo_task_create(kr, 0, false), slot);
    CHECK(!exo_task_claim(kr, slot, tid, HOST)); /* nor has it another's */
    exo_task_free(kr, others);
    exo_task_free(kr, slot);
}

/* Found before its birth, looked at in the middle of its first exec: there is no mark of life. */
static void test_born_meanwhile(struct exo_kr *kr)
{
    begin_phase("born meanwhile");
    uint32_t slot = orphan_create(kr), tid = kr->tasks[slot].tid;
    CHECK(exo_task_claim(kr, slot, tid, HOST));
    CHECK_SAME(exo_task_find_host(kr, HOST), slot);
    CHECK(!exo_task_reclaim(kr, slot, tid, 0));
    kr->tasks[slot].state = EXO_TASK_ALIVE;
    CHECK(!exo_task_reclaim(kr, slot, tid, 0));
    CHECK(exo_task_reclaim(kr, slot, tid, HOST)); /* found again, dead */
    check_free(kr, slot);
}

static void test_named_by_its_maker(struct exo_kr *kr)
{
    begin_phase("named by its maker");
    uint32_t maker = exo_task_create(kr, 0, false);
    uint32_t slot = exo_task_create(kr, maker, false), tid = kr->tasks[slot].tid;
    exo_task_name(kr, slot, tid, HOST, HOST);
    CHECK(exo_task_claim(kr, slot, tid, HOST));
    exo_task_free_process(kr, maker);
    CHECK(!exo_task_reclaim(kr, slot, tid, 0));
    CHECK(exo_task_reclaim(kr, slot, tid, HOST));
}

/* Who freed the slot was killed when its numbers had gone, or one of them. */
static void test_half_free(struct exo_kr *kr)
{
    begin_phase("half free");
    for (uint32_t host = 0; host <= HOST; host += HOST) {
        uint32_t slot = orphan_create(kr), tid = kr->tasks[slot].tid;
        *exo_ids_of(kr, slot) = (struct exo_ids){.host_tid = host};
        CHECK(exo_task_reclaim(kr, slot, tid, host));
        check_free(kr, slot);
    }
}

struct race {
    struct exo_kr *kr;
    uint32_t slots[ROUNDS], tids[ROUNDS];
    bool claimed[ROUNDS], reclaimed[ROUNDS];
};

static void claim_or_reclaim(struct worker *worker)
{
    struct race *race = worker->shared;
    for (uint32_t i = 0; i < ROUNDS; i++)
        if (worker->index == 0)
            race->claimed[i] = exo_task_claim(race->kr, race->slots[i], race->tids[i], HOST + i);
        else
            race->reclaimed[i] = exo_task_reclaim(race->kr, race->slots[i], race->tids[i], 0);
}

static void test_race(struct exo_kr *kr)
{
    begin_phase("race");
    static struct race race;
    race.kr = kr;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        race.slots[i] = orphan_create(kr);
        race.tids[i] = kr->tasks[race.slots[i]].tid;
    }
    run_threads(2, claim_or_reclaim, &race);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        CHECK(race.claimed[i] != race.reclaimed[i]);
        if (race.reclaimed[i])
            check_free(kr, race.slots[i]);
        else
            CHECK_SAME(exo_task_find_host(kr, HOST + i), race.slots[i]);
    }
}

int main(void)
{
    begin(20);
    struct exo_kr *kr = region_create();
    test_never_born(kr);
    test_born_meanwhile(kr);
    test_named_by_its_maker(kr);
    test_half_free(kr);
    test_race(kr);
    region_destroy(kr);
    return 0;
}
