/* The scheduler: who runs next, for the owner of a CPU. A pick from the hot list costs no atomic
 * instruction; it looks at the other lists only when one of them may be overdue. */
#include "schedule.h"

#define unlikely(condition) __builtin_expect((condition), 0)

static uint32_t take_cold(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    if (load_relaxed(&cpu->cold.head) == 0)
        return 0;
    sched_lock(sched, number, cpu->owner);
    uint32_t index = sched_take_first(sched, &cpu->cold);
    if (index != 0)
        store_relaxed(&sched_entity(sched, index)->word,
                      sched_word(number, EXO_SCHED_COLD, EXO_SCHED_RUNNING, 0));
    sched_unlock(sched, number);
    return index;
}

static uint32_t take(struct exo_sched *sched, uint32_t number, uint32_t class)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t index;
    if (class == EXO_SCHED_COLD)
        index = take_cold(sched, number);
    else
        index = sched_take_first(sched, &cpu->list[class]);
    if (index != 0 && class != EXO_SCHED_HOT)
        cpu->served[class - 1] = cpu->picks;
    return index;
}

static bool is_overdue(const struct exo_sched_cpu *cpu, uint32_t class, uint64_t age)
{
    return cpu->picks - cpu->served[class - 1] >= age;
}

static void set_due(struct exo_sched_cpu *cpu)
{
    uint64_t due = EXO_SCHED_NEVER;
    if (cpu->list[EXO_SCHED_NORMAL].head != 0)
        due = cpu->served[EXO_SCHED_NORMAL - 1] + EXO_SCHED_AGE_NORMAL;
    if (load_relaxed(&cpu->cold.head) != 0 &&
        cpu->served[EXO_SCHED_COLD - 1] + EXO_SCHED_AGE_COLD < due)
        due = cpu->served[EXO_SCHED_COLD - 1] + EXO_SCHED_AGE_COLD;
    cpu->due = due;
}

/* Where the hot list is not simply next. */
static uint32_t choose(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t index = 0;
    if (is_overdue(cpu, EXO_SCHED_COLD, EXO_SCHED_AGE_COLD))
        index = take(sched, number, EXO_SCHED_COLD);
    if (index == 0 && is_overdue(cpu, EXO_SCHED_NORMAL, EXO_SCHED_AGE_NORMAL))
        index = take(sched, number, EXO_SCHED_NORMAL);
    for (uint32_t class = EXO_SCHED_HOT; index == 0 && class < EXO_SCHED_CLASSES; class ++)
        index = take(sched, number, class);
    set_due(cpu);
    return index;
}

/* Before it no longer counts as waiting: whoever looks for a CPU with nothing to do is not to take
 * this one for that. */
static void start(struct exo_sched *sched, uint32_t number, uint32_t index, uint32_t class)
{
    store_relaxed(&sched_cpu(sched, number)->running, index);
    store_relaxed(&sched_entity(sched, index)->word,
                  sched_word(number, class, EXO_SCHED_RUNNING, 0));
}

static __attribute__((noinline)) uint32_t pick_slowly(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t index = choose(sched, number);
    bool ours = index != 0;
    if (!ours && (index = sched_steal(sched, number)) == 0)
        return 0;
    start(sched, number, index, sched_class(sched_entity(sched, index)));
    store_relaxed(&cpu->queued, cpu->queued - ours);
    return index;
}

/* Others have enqueued here. What is cold waits while who is picked now runs. */
static __attribute__((noinline)) void receive(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    sched_receive(sched, number);
    if (load_relaxed(&cpu->cold.head) != 0 && load_relaxed(&sched->idle) != 0 &&
        sched_can_lose(cpu))
        sched_offer(sched, number, ~0UL);
}

uint32_t exo_sched_pick(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    struct exo_sched_list *hot = &cpu->list[EXO_SCHED_HOT];
    uint64_t picks = ++cpu->picks;
    if (unlikely(load_relaxed(&cpu->inbox) | cpu->backlog | load_relaxed(&cpu->repair)))
        receive(sched, number);
    uint32_t index = hot->head;
    if (unlikely(picks >= cpu->due) || unlikely(!sched_is_entity(sched, index)))
        return pick_slowly(sched, number);
    store_relaxed(&hot->head, load_relaxed(&sched_entity(sched, index)->next));
    start(sched, number, index, EXO_SCHED_HOT);
    store_relaxed(&cpu->queued, cpu->queued - 1);
    return index;
}

static void leave(struct exo_sched *sched, uint32_t number)
{
    store_relaxed(&sched_cpu(sched, number)->running, 0);
}

void exo_sched_requeue(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    struct exo_sched_entity *entity = sched_entity(sched, index);
    uint64_t affinity = load_relaxed(&entity->affinity);
    leave(sched, number);
    if (affinity & sched_bit(number)) {
        sched_enqueue(sched, number, index);
        return;
    }
    uint32_t owner = sched_cpu(sched, number)->owner - 1;
    uint32_t target = sched_target(sched, number, affinity);
    if (target == number) { /* no better one works now */
        sched_enqueue(sched, number, index);
        return;
    }
    store_release(&entity->word, sched_word(target, 0, EXO_SCHED_WAKING, owner));
    sched_send(sched, target, owner, index);
}

void exo_sched_block(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    struct exo_sched_entity *entity = sched_entity(sched, index);
    leave(sched, number);
    store_release(&entity->word, sched_word(number, sched_class(entity), EXO_SCHED_BLOCKED, 0));
    full_fence(); /* who wakes it sees that it is blocked, or we see the token */
    if (unlikely(load_relaxed(&entity->token) != 0))
        exo_sched_wake(sched, number, sched_cpu(sched, number)->owner - 1, index);
}
