/* The scheduler: cold entities of other CPUs', for one that has nothing else to do. */
#include "schedule.h"

#define LOOK_AT 8 /* so many of a list, for one that may run here */

static void unlink_after(struct exo_sched *sched, struct exo_sched_list *list, uint32_t before,
                         uint32_t index)
{
    uint32_t next = load_relaxed(&sched_entity(sched, index)->next);
    store_relaxed(before == 0 ? &list->head : &sched_entity(sched, before)->next, next);
    if (load_relaxed(&list->tail) == index)
        store_relaxed(&list->tail, before);
}

/* The first of a cold list that may run on the CPU; the list's lock is held. */
static uint32_t take_for(struct exo_sched *sched, struct exo_sched_list *list, uint32_t cpu)
{
    uint32_t index = load_relaxed(&list->head), before = 0;
    for (int i = 0; i < LOOK_AT && sched_is_entity(sched, index); i++) {
        struct exo_sched_entity *entity = sched_entity(sched, index);
        if (load_relaxed(&entity->affinity) & sched_bit(cpu)) {
            unlink_after(sched, list, before, index);
            store_release(&entity->word, sched_word(cpu, EXO_SCHED_COLD, EXO_SCHED_READY, 0));
            return index;
        }
        before = index;
        index = load_relaxed(&entity->next);
    }
    return 0;
}

static bool is_worth(const struct exo_sched_cpu *victim)
{
    return load_relaxed(&victim->cold.head) != 0 && sched_can_lose(victim);
}

bool sched_can_steal(const struct exo_sched *sched, uint32_t cpu)
{
    for (uint32_t i = 0; i < sched->cpu_count; i++)
        if (i != cpu && is_worth(sched_cpu(sched, i)))
            return true;
    return false;
}

static uint32_t steal_from(struct exo_sched *sched, uint32_t number, uint32_t cpu)
{
    struct exo_sched_cpu *victim = sched_cpu(sched, number);
    if (!is_worth(victim) || !sched_try_lock(sched, number, sched_cpu(sched, cpu)->owner))
        return 0;
    uint32_t index = take_for(sched, &victim->cold, cpu);
    if (index != 0)
        store_relaxed(&victim->stolen, victim->stolen + 1);
    sched_unlock(sched, number);
    return index;
}

uint32_t sched_steal(struct exo_sched *sched, uint32_t cpu)
{
    uint32_t index = 0;
    for (uint32_t i = 0; index == 0 && i + 1 < sched->cpu_count; i++) {
        uint32_t number = sched_cpu(sched, cpu)->order[i];
        if (number < sched->cpu_count && number != cpu)
            index = steal_from(sched, number, cpu);
    }
    return index;
}

void sched_offer(struct exo_sched *sched, uint32_t cpu, uint64_t affinity)
{
    uint64_t idle = load_relaxed(&sched->idle) & affinity & ~sched_bit(cpu);
    for (uint32_t i = 0; idle != 0 && i + 1 < sched->cpu_count; i++) {
        uint32_t number = sched_cpu(sched, cpu)->order[i];
        if (number < sched->cpu_count && (idle & sched_bit(number))) {
            exo_sched_ring(sched, number);
            return;
        }
    }
}
