/* The scheduler: who is blocked is woken, by anybody, and who sleeps for want of work, too.
 *
 * A waker takes the entity from BLOCKED to WAKING, with its own number in the word; so there is one
 * waker, and it can be found dead. It then puts it into the CPU's inbox, a stack that the owner takes
 * off whole: in two steps, so that at any instruction the chain hangs at the inbox or the backlog.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>

#include "ring.h"
#include "schedule.h"

#define NS_PER_S 1000000000UL
#define LISTED_AT_ONCE 4

/* Of several, the one with the least to do. */
static uint32_t least_busy(const struct exo_sched *sched, uint64_t cpus)
{
    uint32_t best = (uint32_t)__builtin_ctzl(cpus), least = ~0U;
    for (; cpus != 0; cpus &= cpus - 1) {
        uint32_t number = (uint32_t)__builtin_ctzl(cpus);
        uint32_t load = sched_load(sched_cpu(sched, number));
        if (load < least) {
            least = load;
            best = number;
        }
    }
    return best;
}

uint32_t sched_target(const struct exo_sched *sched, uint32_t last, uint64_t affinity)
{
    uint64_t existing = affinity & ~0UL >> (64 - sched->cpu_count);
    uint64_t working = existing & load_acquire(&sched->attached);
    uint64_t cpus = working != 0 ? working : existing;
    if (last < sched->cpu_count && (cpus == 0 || (cpus & sched_bit(last))))
        return last;
    return cpus != 0 ? least_busy(sched, cpus) : 0;
}

static void push(struct exo_sched *sched, uint32_t number, uint32_t index)
{
    uint32_t *inbox = &sched_cpu(sched, number)->inbox, head = load_relaxed(inbox);
    do
        store_relaxed(&sched_entity(sched, index)->next, head);
    while (!compare_exchange(inbox, &head, index));
    fetch_add(&sched_cpu(sched, number)->pushed, 1);
}

void sched_send(struct exo_sched *sched, uint32_t number, uint32_t owner, uint32_t index)
{
    push(sched, number, index);
    uint64_t attached = load_acquire(&sched->attached);
    if (!(attached & sched_bit(number)) && attached != 0)
        exo_sched_help(sched, number, owner, EXO_SCHED_STOPPED);
    else
        exo_sched_ring(sched, number);
}

int exo_sched_wake(struct exo_sched *sched, uint32_t cpu, uint32_t owner, uint32_t index)
{
    if (!sched_is_entity(sched, index))
        return -EINVAL;
    struct exo_sched_entity *entity = sched_entity(sched, index);
    exchange(&entity->token, 1);
    uint64_t word = load_acquire(&entity->word);
    if (word_state(word) != EXO_SCHED_BLOCKED)
        return 0;
    uint32_t target = sched_target(sched, word_cpu(word), load_relaxed(&entity->affinity));
    uint64_t waking = sched_word(target, 0, EXO_SCHED_WAKING, owner);
    if (!compare_exchange(&entity->word, &word, waking))
        return 0;
    exchange(&entity->token, 0); /* whoever has set it since is served by this wake, too */
    if (target == cpu)
        sched_enqueue(sched, cpu, index);
    else
        sched_send(sched, target, owner, index);
    return 1;
}

static void take_inbox(struct exo_sched_cpu *cpu)
{
    uint32_t head = load_acquire(&cpu->inbox);
    do
        store_relaxed(&cpu->backlog, head);
    while (head != 0 && !compare_exchange(&cpu->inbox, &head, 0));
}

/* The first of the backlog into a list. It is READY before the backlog goes on, and it is in the
 * list, its next overwritten, after that. False: that is no entity for here, nor what follows. */
static bool list_one(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    uint32_t index = cpu->backlog;
    if (!sched_is_entity(sched, index)) {
        store_relaxed(&cpu->backlog, 0);
        return false;
    }
    struct exo_sched_entity *entity = sched_entity(sched, index);
    uint32_t next = load_relaxed(&entity->next);
    uint64_t word = load_acquire(&entity->word);
    bool ours = word_state(word) == EXO_SCHED_WAKING && word_cpu(word) == number;
    if (ours)
        store_release(&entity->word, sched_word(number, sched_class(entity), EXO_SCHED_READY, 0));
    store_release(&cpu->backlog, ours ? next : 0);
    if (ours)
        sched_enqueue(sched, number, index);
    store_relaxed(&cpu->received, cpu->received + 1); /* in sched_load() it is not missed */
    return ours;
}

static void list_backlog(struct exo_sched *sched, uint32_t number, uint32_t limit)
{
    for (uint32_t i = 0; i < limit && sched_cpu(sched, number)->backlog != 0; i++)
        list_one(sched, number);
}

void sched_receive_all(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    exchange(&cpu->repair, 0);
    sched_lock(sched, number, cpu->owner); /* a thief that died over it may have left no head */
    sched_unlock(sched, number);
    list_backlog(sched, number, sched->entity_count);
    take_inbox(cpu);
    list_backlog(sched, number, sched->entity_count);
    sched_find_lost_wakes(sched, number);
}

void sched_receive(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    if (load_relaxed(&cpu->repair) != 0)
        sched_receive_all(sched, number);
    if (cpu->backlog == 0)
        take_inbox(cpu);
    list_backlog(sched, number, LISTED_AT_ONCE);
}

bool exo_sched_is_ready(struct exo_sched *sched, uint32_t number)
{
    struct exo_sched_cpu *cpu = sched_cpu(sched, number);
    return cpu->list[EXO_SCHED_HOT].head != 0 || cpu->list[EXO_SCHED_NORMAL].head != 0 ||
           load_acquire(&cpu->inbox) != 0 || cpu->backlog != 0 || load_relaxed(&cpu->repair) != 0 ||
           load_relaxed(&cpu->cold.head) != 0 || sched_can_steal(sched, number);
}

void exo_sched_ring(struct exo_sched *sched, uint32_t number)
{
    struct exo_ring_bell *bell = &sched_cpu(sched, number)->bell;
    full_fence();
    if (load_relaxed(&bell->wanted) != 0)
        exo_bell_ring(bell);
}

int exo_sched_wait(struct exo_sched *sched, uint32_t number, uint64_t timeout_ns)
{
    struct exo_ring_bell *bell = &sched_cpu(sched, number)->bell;
    int64_t timeout[2] = {(int64_t)(timeout_ns / NS_PER_S), (int64_t)(timeout_ns % NS_PER_S)};
    uint32_t word = exo_bell_want(bell);
    long result = 0;
    fetch_or(&sched->idle, sched_bit(number));
    if (!exo_sched_is_ready(sched, number))
        result = exo_host_call(__NR_futex, (long)&bell->word, FUTEX_WAIT, (long)word,
                               timeout_ns == UINT64_MAX ? 0 : (long)timeout, 0, 0);
    fetch_and(&sched->idle, ~sched_bit(number));
    store_relaxed(&bell->wanted, 0);
    return result == -ETIMEDOUT || result == -EINTR ? (int)result : 0;
}
