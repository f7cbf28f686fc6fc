/* The scheduler: who works for a CPU, and what is left when its owner, or a waker, has died.
 *
 * The lists are made anew from the entities' words. Who does it owns the CPU, and if it dies over it
 * the next one begins again.
 */
#include <asm-generic/errno-base.h>

#include "ring.h"
#include "schedule.h"

/* Each entity of a chain that is on its way into this CPU's lists has arrived. */
static void mark_ready(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    for (uint32_t i = 0; i < sched->entity_count && sched_is_entity(sched, index); i++) {
        struct exo_sched_entity *entity = sched_entity(sched, index);
        uint64_t word = load_acquire(&entity->word);
        if (word_state(word) == EXO_SCHED_WAKING && word_cpu(word) == number)
            store_release(&entity->word,
                          sched_word(number, sched_class(entity), EXO_SCHED_READY, 0));
        index = load_relaxed(&entity->next);
    }
}

static void empty_inbox(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    mark_ready(sched, number, cpu->backlog);
    uint32_t head = load_acquire(&cpu->inbox);
    do
        mark_ready(sched, number, head);
    while (!compare_exchange(&cpu->inbox, &head, 0));
    store_relaxed(&cpu->backlog, 0);
}

static void empty_lists(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    sched_lock(sched, number, cpu->owner);
    for (uint32_t class = 0; class < EXO_SCHED_COLD; class ++)
        cpu->list[class] = (struct exo_sched_list){0, 0};
    store_relaxed(&cpu->cold.head, 0);
    store_relaxed(&cpu->stolen, 0);
    sched_unlock(sched, number);
    store_relaxed(&cpu->queued, 0);
    store_relaxed(&cpu->received, load_relaxed(&cpu->pushed));
    store_relaxed(&cpu->running, 0);
    cpu->due = EXO_SCHED_NEVER;
}

static bool was_waking(const struct exo_sched *sched, uint64_t word)
{
    return word_state(word) == EXO_SCHED_WAKING &&
           exo_owner_is_dead(&sched->owners, word_owner(word));
}

void sched_find_lost_wakes(struct exo_sched *sched, uint32_t number)
{
    for (uint32_t i = 1; i < sched->entity_count; i++) {
        uint64_t word = load_acquire(&sched_entity(sched, i)->word);
        if (word_cpu(word) == number && was_waking(sched, word))
            sched_enqueue(sched, number, i);
    }
}

/* From the words alone. */
static void rebuild(struct exo_sched *sched, uint32_t number)
{
    empty_inbox(sched, number);
    empty_lists(sched, number);
    for (uint32_t i = 1; i < sched->entity_count; i++) {
        struct exo_sched_entity *entity = sched_entity(sched, i);
        uint64_t word = load_acquire(&entity->word);
        if (word_cpu(word) != number)
            continue;
        if (word_state(word) == EXO_SCHED_READY || was_waking(sched, word))
            sched_enqueue(sched, number, i);
        else if (word_state(word) == EXO_SCHED_RUNNING)
            store_release(&entity->word, sched_word(number, word_class(word), EXO_SCHED_LOST, 0));
    }
}

int exo_sched_attach(struct exo_sched *sched, uint32_t number, uint32_t owner)
{
    if (number >= sched->cpu_count || owner > CPU_MASK)
        return -EINVAL;
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t seen = load_acquire(&cpu->owner);
    if (is_claimed_by_living(sched, seen) || !compare_exchange(&cpu->owner, &seen, owner + 1))
        return -EBUSY;
    rebuild(sched, number);
    fetch_or(&sched->attached, sched_bit(number));
    return 0;
}

static void hand_over(struct exo_sched *sched, uint32_t number, uint32_t owner)
{
    for (uint32_t i = 1; i < sched->entity_count; i++) {
        struct exo_sched_entity *entity = sched_entity(sched, i);
        uint64_t word = load_acquire(&entity->word);
        if (word_cpu(word) != number || word_state(word) != EXO_SCHED_READY)
            continue;
        uint32_t target = sched_target(sched, number, load_relaxed(&entity->affinity));
        if (target == number)
            continue; /* it waits for the next one who works here */
        store_release(&entity->word, sched_word(target, 0, EXO_SCHED_WAKING, owner));
        sched_send(sched, target, owner, i);
    }
}

/* Whoever pushes after the bit is gone sees that; what was pushed before is found here. */
static void leave(struct exo_sched *sched, uint32_t number, uint32_t owner)
{
    fetch_and(&sched->attached, ~sched_bit(number));
    empty_inbox(sched, number);
    empty_lists(sched, number);
    hand_over(sched, number, owner);
    exchange(&sched_cpu(sched, number)->owner, 0);
}

void exo_sched_detach(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t claim = cpu->owner, nobody = 0;
    do /* again, if somebody who pushed meanwhile has found us still there */
        leave(sched, number, claim - 1);
    while (load_acquire(&cpu->inbox) != 0 && load_acquire(&sched->attached) != 0 &&
           compare_exchange(&cpu->owner, &nobody, claim));
}

int exo_sched_help(struct exo_sched *sched, uint64_t cpu, uint64_t owner, uint64_t what)
{
    if (cpu >= sched->cpu_count)
        return -EINVAL;
    if (what == EXO_SCHED_LOOK)
        sched_receive_all(sched, (uint32_t)cpu);
    else if (exo_sched_attach(sched, (uint32_t)cpu, (uint32_t)owner) == 0)
        exo_sched_detach(sched, (uint32_t)cpu);
    return 0;
}

uint32_t exo_sched_repair(struct exo_sched *sched, uint32_t owner)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sched->cpu_count; i++) {
        struct exo_sched_cpu *cpu = sched_cpu(sched, i);
        uint32_t before = load_acquire(&cpu->owner);
        if (!is_claimed_by_living(sched, before) && exo_sched_attach(sched, i, owner) == 0) {
            exo_sched_detach(sched, i);
            count += before != 0;
        } else {
            store_release(&cpu->repair, 1);
            full_fence();
            exo_bell_ring(&cpu->bell); /* wanted or not: the dead may have been about to ring it */
        }
    }
    return count;
}
