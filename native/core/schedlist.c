/* The scheduler: lists of entities, and the lock of the cold ones. */
#include <asm/unistd.h>

#include <exo/core.h>

#include "schedule.h"

#define SPINS 64

/* A list that was empty has been passed over by nobody. */
static void note_first(struct exo_sched_cpu *cpu, uint32_t class)
{
    uint64_t due =
        cpu->picks + (class == EXO_SCHED_COLD ? EXO_SCHED_AGE_COLD : EXO_SCHED_AGE_NORMAL);
    cpu->served[class - 1] = cpu->picks;
    if (due < cpu->due)
        cpu->due = due;
}

static void enqueue_cold(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    struct exo_sched_entity *entity = sched_entity(sched, index);
    sched_lock(sched, number, cpu->owner);
    if (load_relaxed(&cpu->cold.head) == 0)
        note_first(cpu, EXO_SCHED_COLD);
    store_release(&entity->word, sched_word(number, EXO_SCHED_COLD, EXO_SCHED_READY, 0));
    sched_append(sched, &cpu->cold, index);
    sched_unlock(sched, number);
    full_fence(); /* who is going to sleep has said so, or sees it */
    if (sched_can_lose(cpu) && load_relaxed(&sched->idle) != 0)
        sched_offer(sched, number, load_relaxed(&entity->affinity));
}

void sched_enqueue(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    struct exo_sched_entity *entity = sched_entity(sched, index);
    uint32_t class = sched_class(entity);
    store_relaxed(&cpu->queued, cpu->queued + 1);
    if (class == EXO_SCHED_COLD) {
        enqueue_cold(sched, number, index);
        return;
    }
    if (class == EXO_SCHED_NORMAL && cpu->list[class].head == 0)
        note_first(cpu, class);
    store_release(&entity->word, sched_word(number, class, EXO_SCHED_READY, 0));
    sched_append(sched, &cpu->list[class], index);
}

/* Its holder died inside: the words tell who belongs here. */
static void rebuild_cold(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint64_t mine = sched_word(number, EXO_SCHED_COLD, EXO_SCHED_READY, 0);
    store_relaxed(&cpu->cold.head, 0);
    for (uint32_t i = 1; i < sched->entity_count; i++)
        if (load_acquire(&sched_entity(sched, i)->word) == mine)
            sched_append(sched, &cpu->cold, i);
}

bool sched_try_lock(struct exo_sched *sched, uint32_t number, uint32_t mine)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t seen = load_relaxed(&cpu->lock);
    if (seen != 0 && is_claimed_by_living(sched, seen))
        return false;
    uint32_t before = seen;
    if (!compare_exchange(&cpu->lock, &seen, mine))
        return false;
    if (before != 0)
        rebuild_cold(sched, number);
    return true;
}

void sched_lock(struct exo_sched *sched, uint32_t cpu, uint32_t mine)
{
    for (uint32_t tries = 1; !sched_try_lock(sched, cpu, mine); tries++) {
        if (tries % SPINS == 0)
            exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
        else
            spin_pause();
    }
}

void sched_unlock(struct exo_sched *sched, uint32_t cpu)
{
    store_release(&sched_cpu(sched, cpu)->lock, 0);
}
