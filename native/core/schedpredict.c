/* The scheduler: how long will it run? From how long entities of its kind ran after the same latest
 * classes (after T.-Y. Yeh and Y. N. Patt's two-level predictor of branches, 1991). What is averaged
 * are logarithms: one run of 100 ms among many of 0.1 ms shall not make them all cold.
 */
#include "schedule.h"

#define CONTEXT_MASK ((1U << 2 * EXO_SCHED_CONTEXT) - 1)
#define GOLDEN 2654435769U /* 2^32 / phi: spreads kinds over the cells */
#define CELL_SHIFT 20      /* 32 - log2(EXO_SCHED_CELLS) */
#define FRACTION_BITS 16

_Static_assert(EXO_SCHED_CELLS == 1 << (32 - CELL_SHIFT), "the hash's highest bits");

uint32_t exo_sched_log(int64_t run)
{
    uint64_t value = (uint64_t)run + 1;
    uint32_t whole = 63 - (uint32_t)__builtin_clzl(value);
    uint64_t above = value - (1UL << whole);
    uint64_t fraction =
        whole > FRACTION_BITS ? above >> (whole - FRACTION_BITS) : above << (FRACTION_BITS - whole);
    return whole << FRACTION_BITS | (uint32_t)fraction;
}

static uint32_t *cell_of(struct exo_sched *sched, const struct exo_sched_entity *entity)
{
    uint32_t cell = (entity->kind * GOLDEN) >> CELL_SHIFT;
    return &sched->cells[cell ^ (entity->history & CONTEXT_MASK)];
}

/* Unsigned inside: what stands in shared memory may be anything. */
static int64_t moved(int64_t average, int64_t sample)
{
    uint64_t difference = (uint64_t)sample - (uint64_t)average;
    int64_t step = (int64_t)(difference * EXO_SCHED_ALPHA) >> EXO_SCHED_ALPHA_SHIFT;
    return (int64_t)((uint64_t)average + (uint64_t)step);
}

static uint32_t class_of(int64_t value, int64_t normal_from, int64_t cold_from)
{
    return (uint32_t)(value >= normal_from) + (uint32_t)(value >= cold_from);
}

/* Nothing is known of a kind at its beginning: the last class will do, and hot before that. */
static uint32_t predict(struct exo_sched *sched, const struct exo_sched_entity *entity)
{
    uint32_t latest = entity->history & 3;
    if (sched->flags & EXO_SCHED_BY_AVERAGE)
        return class_of(entity->average, sched->normal_from, sched->cold_from);
    uint32_t log = load_relaxed(cell_of(sched, entity));
    if (log == 0)
        return latest == 0 ? EXO_SCHED_HOT : latest - 1;
    return class_of(log, sched->normal_log, sched->cold_log);
}

static void learn(struct exo_sched *sched, const struct exo_sched_entity *entity, int64_t run)
{
    uint32_t *cell = cell_of(sched, entity), log = load_relaxed(cell), sample = exo_sched_log(run);
    uint32_t now = log == 0 ? sample : (uint32_t)moved(log, sample);
    store_relaxed(cell, now != 0 ? now : 1);
}

void exo_sched_account(struct exo_sched *sched, uint32_t index, int64_t run)
{
    if (!sched_is_entity(sched, index))
        return;
    struct exo_sched_entity *entity = sched_entity(sched, index);
    run = run < 0 ? 0 : run < EXO_SCHED_RUN_MAX ? run : EXO_SCHED_RUN_MAX;
    learn(sched, entity, run);
    entity->average = entity->samples == 0 ? run : moved(entity->average, run);
    entity->samples += entity->samples < EXO_SCHED_SAMPLES;
    entity->history =
        entity->history << 2 | (1 + class_of(run, sched->normal_from, sched->cold_from));
    entity->total += (uint64_t)run;
    store_relaxed(&entity->predicted, predict(sched, entity));
}

void exo_sched_become(struct exo_sched *sched, uint32_t index, uint32_t kind)
{
    if (!sched_is_entity(sched, index))
        return;
    struct exo_sched_entity *entity = sched_entity(sched, index);
    entity->kind = kind;
    entity->history = 0;
    entity->samples = 0;
    entity->average = 0;
    store_relaxed(&entity->predicted, predict(sched, entity));
}
