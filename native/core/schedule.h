/* What the files of the scheduler share: an entity's word taken apart, lists, the cold list's lock.
 *
 * Numbers that come from shared memory are checked where they are followed: whoever writes nonsense
 * there loses entities, and breaks nobody's memory.
 */
#ifndef EXO_CORE_SCHED_H
#define EXO_CORE_SCHED_H

#include <exo/sched.h>

#include "atomic.h"

#define CPU_MASK 0xffffUL

static inline struct exo_sched_cpu *sched_cpu(const struct exo_sched *sched, uint32_t cpu)
{
    return (struct exo_sched_cpu *)(sched + 1) + cpu;
}

static inline bool sched_is_entity(const struct exo_sched *sched, uint32_t index)
{
    return index - 1 < sched->entity_count - 1;
}

static inline struct exo_sched_entity *sched_entity(const struct exo_sched *sched, uint32_t index)
{
    return (struct exo_sched_entity *)((char *)sched + sched->entities_away +
                                       index * sched->stride);
}

static inline uint64_t sched_word(uint64_t cpu, uint64_t class, uint64_t state, uint64_t owner)
{
    return cpu | class << EXO_SCHED_CLASS_SHIFT | state << EXO_SCHED_STATE_SHIFT |
           owner << EXO_SCHED_OWNER_SHIFT;
}

static inline uint32_t word_cpu(uint64_t word)
{
    return (uint32_t)(word & CPU_MASK);
}

static inline uint32_t word_class(uint64_t word)
{
    return (uint32_t)(word >> EXO_SCHED_CLASS_SHIFT & 0xff);
}

static inline uint32_t word_state(uint64_t word)
{
    return (uint32_t)(word >> EXO_SCHED_STATE_SHIFT & 0xff);
}

static inline uint32_t word_owner(uint64_t word)
{
    return (uint32_t)(word >> EXO_SCHED_OWNER_SHIFT & 0xffff);
}

static inline uint64_t sched_bit(uint32_t cpu)
{
    return 1UL << cpu;
}

/* Class of an entity's next run. */
static inline uint32_t sched_class(const struct exo_sched_entity *entity)
{
    uint32_t class = load_relaxed(&entity->predicted);
    return class < EXO_SCHED_COLD ? class : EXO_SCHED_COLD;
}

static inline bool is_claimed_by_living(const struct exo_sched *sched, uint32_t claim)
{
    return claim != 0 && !exo_owner_is_dead(&sched->owners, claim - 1);
}

/* How many wait in a CPU's lists; thieves count what they take. */
static inline uint32_t sched_waiting(const struct exo_sched_cpu *cpu)
{
    return load_relaxed(&cpu->queued) - load_relaxed(&cpu->stolen);
}

/* How many it has in all, about. */
static inline uint32_t sched_load(const struct exo_sched_cpu *cpu)
{
    return sched_waiting(cpu) + load_relaxed(&cpu->pushed) - load_relaxed(&cpu->received) +
           (load_relaxed(&cpu->running) != 0);
}

/* Whether a cold entity would wait there: not if it is the only one, and about to be picked. */
static inline bool sched_can_lose(const struct exo_sched_cpu *cpu)
{
    return load_relaxed(&cpu->running) != 0 || sched_waiting(cpu) > 1;
}

/* The caller owns the CPU of a hot or normal list, or holds the cold list's lock. */
static inline void sched_append(struct exo_sched *sched, struct exo_sched_list *list,
                                uint32_t index)
{
    uint32_t tail = load_relaxed(&list->tail);
    store_relaxed(&sched_entity(sched, index)->next, 0);
    if (load_relaxed(&list->head) != 0 && sched_is_entity(sched, tail))
        store_relaxed(&sched_entity(sched, tail)->next, index);
    else
        store_relaxed(&list->head, index);
    store_relaxed(&list->tail, index);
}

/* The first one, 0 if there is none. */
static inline uint32_t sched_take_first(struct exo_sched *sched, struct exo_sched_list *list)
{
    uint32_t index = load_relaxed(&list->head);
    if (!sched_is_entity(sched, index)) {
        store_relaxed(&list->head, 0);
        return 0;
    }
    store_relaxed(&list->head, load_relaxed(&sched_entity(sched, index)->next));
    return index;
}

/* schedlist.c */
/* For the CPU's owner, by what is predicted of the entity, which is in no list. */
void sched_enqueue(struct exo_sched *sched, uint32_t cpu, uint32_t index);
/* mine: 1 + the caller's number. */
bool sched_try_lock(struct exo_sched *sched, uint32_t cpu, uint32_t mine);
void sched_lock(struct exo_sched *sched, uint32_t cpu, uint32_t mine);
void sched_unlock(struct exo_sched *sched, uint32_t cpu);

/* schedwake.c */
/* CPU for an entity that was last on that one. */
uint32_t sched_target(const struct exo_sched *sched, uint32_t last, uint64_t affinity);
/* Puts an entity that owner is waking into another CPU's inbox. */
void sched_send(struct exo_sched *sched, uint32_t cpu, uint32_t owner, uint32_t index);
/* For the CPU's owner: lists some of those in the inbox. */
void sched_receive(struct exo_sched *sched, uint32_t cpu);
/* All of them, and those that dead wakers have left on their way here. */
void sched_receive_all(struct exo_sched *sched, uint32_t cpu);

/* schedrepair.c */
/* For the CPU's owner, whose inbox is empty. */
void sched_find_lost_wakes(struct exo_sched *sched, uint32_t cpu);

/* schedsteal.c: a cold entity of another CPU's, 0. */
uint32_t sched_steal(struct exo_sched *sched, uint32_t cpu);
bool sched_can_steal(const struct exo_sched *sched, uint32_t cpu);
/* Rings the nearest sleeping CPU that may take an entity. */
void sched_offer(struct exo_sched *sched, uint32_t cpu, uint64_t affinity);

#endif
