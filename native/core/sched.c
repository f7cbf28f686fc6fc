/* The scheduler: setting up. exo/sched.h has the design. */
#include <asm-generic/errno-base.h>

#include "mem.h"
#include "schedule.h"

_Static_assert(sizeof(struct exo_sched_entity) == 64, "a cache line");
_Static_assert(sizeof(struct exo_sched_cpu) == 256,
               "a line each: owner's, inbox, cold list, order");
_Static_assert(sizeof(struct exo_sched) % 64 == 0, "CPUs begin with a line");

uint64_t exo_sched_size(uint32_t cpus)
{
    return sizeof(struct exo_sched) + cpus * sizeof(struct exo_sched_cpu);
}

int exo_sched_init(struct exo_sched *sched, uint32_t cpus)
{
    if (cpus < 1 || cpus > EXO_SCHED_CPUS)
        return -EINVAL;
    memset(sched, 0, exo_sched_size(cpus));
    sched->cpu_count = cpus;
    sched->entity_count = 1;
    exo_sched_set_thresholds(sched, EXO_SCHED_NORMAL_FROM, EXO_SCHED_COLD_FROM);
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
        for (uint32_t i = 0; i + 1 < cpus; i++)
            sched_cpu(sched, cpu)->order[i] = (uint8_t)((cpu + 1 + i) % cpus);
    store_release(&sched->magic, EXO_SCHED_MAGIC);
    return 0;
}

int exo_sched_set_entities(struct exo_sched *sched, struct exo_sched_entity *first, uint64_t stride,
                           uint32_t count)
{
    if (count < 1 || stride < sizeof(*first) || stride % 8 != 0)
        return -EINVAL;
    sched->entities_away = (char *)first - (char *)sched;
    sched->stride = stride;
    store_release(&sched->entity_count, count);
    return 0;
}

int exo_sched_set_thresholds(struct exo_sched *sched, int64_t normal_from, int64_t cold_from)
{
    if (normal_from < 1 || cold_from < normal_from || cold_from > EXO_SCHED_RUN_MAX)
        return -EINVAL;
    sched->normal_from = normal_from;
    sched->cold_from = cold_from;
    sched->normal_log = exo_sched_log(normal_from);
    sched->cold_log = exo_sched_log(cold_from);
    return 0;
}

int exo_sched_set_order(struct exo_sched *sched, uint32_t cpu, const uint8_t *order)
{
    if (cpu >= sched->cpu_count)
        return -EINVAL;
    uint64_t seen = sched_bit(cpu);
    for (uint32_t i = 0; i + 1 < sched->cpu_count; i++) {
        if (order[i] >= sched->cpu_count || (seen & sched_bit(order[i])))
            return -EINVAL;
        seen |= sched_bit(order[i]);
    }
    memcpy(sched_cpu(sched, cpu)->order, order, sched->cpu_count - 1);
    return 0;
}

static uint64_t all_cpus(const struct exo_sched *sched)
{
    return ~0UL >> (64 - sched->cpu_count);
}

int exo_sched_create(struct exo_sched *sched, uint32_t index, uint32_t kind, uint64_t affinity)
{
    if (!sched_is_entity(sched, index) || (affinity != 0 && !(affinity & all_cpus(sched))))
        return -EINVAL;
    struct exo_sched_entity *entity = sched_entity(sched, index);
    if (word_state(load_acquire(&entity->word)) != EXO_SCHED_FREE)
        return -EBUSY;
    memset(&entity->next, 0, sizeof(*entity) - sizeof(entity->word));
    entity->affinity = affinity != 0 ? affinity : ~0UL;
    exo_sched_become(sched, index, kind);
    store_release(&entity->word, sched_word(EXO_SCHED_NO_CPU, 0, EXO_SCHED_BLOCKED, 0));
    return 0;
}

void exo_sched_destroy(struct exo_sched *sched, uint32_t cpu, uint32_t index)
{
    if (cpu < sched->cpu_count && sched_cpu(sched, cpu)->running == index)
        store_relaxed(&sched_cpu(sched, cpu)->running, 0);
    store_release(&sched_entity(sched, index)->word, 0);
}

int exo_sched_set_affinity(struct exo_sched *sched, uint32_t index, uint64_t affinity)
{
    if (!sched_is_entity(sched, index) || !(affinity & all_cpus(sched)))
        return -EINVAL;
    store_relaxed(&sched_entity(sched, index)->affinity, affinity);
    return 0;
}

struct exo_sched_entity *exo_sched_at(const struct exo_sched *sched, uint32_t index)
{
    return sched_is_entity(sched, index) ? sched_entity(sched, index) : NULL;
}
