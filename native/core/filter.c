/* Seccomp filters in the kernel region: adding, handing on, asking.
 *
 * Rules: which filters and which units of the pool are in use is worked out anew from the task slots
 * whenever a filter is added, so a task killed at any moment leaves nothing behind. A task only ever
 * gets filters that lead to its own, so while it lives what it is just reading stays. filter_lock
 * guards everything but that reading.
 */
#include <asm-generic/errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <exo/core.h>

#include "atomic.h"
#include "mem.h"

#define WEIGHT_LIMIT 32768 /* MAX_INSNS_PER_PATH of the kernel's seccomp.c */
#define WEIGHT_OF_ONE 4    /* ... which counts these for each filter besides */

static uint32_t units_of(uint32_t count)
{
    return (count + EXO_FILTER_UNIT - 1) / EXO_FILTER_UNIT;
}

static void take_units(struct exo_kr *kr, uint32_t first, uint32_t units)
{
    for (uint32_t i = first; i < first + units && i < EXO_FILTER_UNIT_COUNT; i++)
        kr->filter_units[i / 64] |= 1UL << i % 64;
}

static void look_locked(struct exo_kr *kr)
{
    for (uint32_t i = 1; i < kr->filter_high; i++)
        kr->filters[i].is_used = 0;
    memset(kr->filter_units, 0, sizeof(kr->filter_units));
    for (uint32_t slot = 1; slot < kr->task_high; slot++) {
        uint32_t at = kr->tasks[slot].state == EXO_TASK_FREE ? 0 : kr->tasks[slot].filter;
        for (; at != 0 && !kr->filters[at].is_used; at = kr->filters[at].older) {
            kr->filters[at].is_used = 1;
            take_units(kr, kr->filters[at].first, units_of(kr->filters[at].count));
        }
    }
}

/* The first of so many free units in a row; EXO_FILTER_UNIT_COUNT if there are none. */
static uint32_t find_units(const struct exo_kr *kr, uint32_t units)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < EXO_FILTER_UNIT_COUNT; i++) {
        if (i % 64 == 0 && kr->filter_units[i / 64] == ~0UL) {
            i += 63;
            run = 0;
            continue;
        }
        run = kr->filter_units[i / 64] & 1UL << i % 64 ? 0 : run + 1;
        if (run == units)
            return i + 1 - units;
    }
    return EXO_FILTER_UNIT_COUNT;
}

static void note_allowed(struct exo_filter *filter, const struct exo_filter *older,
                         const struct exo_bpf *code)
{
    for (uint32_t nr = 0; nr < EXO_CALL_COUNT; nr++) {
        uint64_t bit = 1UL << nr % 64;
        if ((older == NULL || (older->allowed[nr / 64] & bit)) &&
            exo_bpf_always_allows(code, filter->count, nr))
            filter->allowed[nr / 64] |= bit;
    }
}

/* A filter in front of older; 0 when there is no room, or Linux would not have more in a row. */
static uint32_t create_locked(struct exo_kr *kr, uint32_t older, const struct exo_bpf *code,
                              uint32_t count)
{
    uint32_t weight = exo_bpf_weight(code, count), index = 1;
    if (older != 0)
        weight += WEIGHT_OF_ONE + kr->filters[older].weight;
    if (weight > WEIGHT_LIMIT)
        return 0;
    look_locked(kr);
    while (index < kr->filter_high && kr->filters[index].is_used)
        index++;
    uint32_t first = find_units(kr, units_of(count));
    if (index == EXO_FILTER_COUNT || first == EXO_FILTER_UNIT_COUNT)
        return 0;
    if (index >= kr->filter_high)
        kr->filter_high = index + 1;
    memcpy(&kr->filter_code[(uint64_t)first * EXO_FILTER_UNIT], code, count * sizeof(*code));
    kr->filters[index] =
        (struct exo_filter){.older = older,
                            .first = first,
                            .count = count,
                            .weight = weight,
                            .depth = older == 0 ? 1 : kr->filters[older].depth + 1};
    note_allowed(&kr->filters[index], older == 0 ? NULL : &kr->filters[older], code);
    return index;
}

static bool leads_to(const struct exo_kr *kr, uint32_t filter, uint32_t older)
{
    while (filter != 0 && filter != older)
        filter = kr->filters[filter].older;
    return filter == older;
}

static bool is_sibling(const struct exo_kr *kr, uint32_t slot, uint32_t other)
{
    const struct exo_task *task = &kr->tasks[other];
    return other != slot && task->leader_slot == kr->tasks[slot].leader_slot &&
           (task->state == EXO_TASK_EMBRYO || task->state == EXO_TASK_ALIVE) &&
           !(task->flags & EXO_TASK_LEADER_EXITED);
}

/* The tid of a thread with filters of its own, or in strict mode; 0 if there is none. */
static uint32_t find_stranger(const struct exo_kr *kr, uint32_t slot)
{
    for (uint32_t i = 1; i < kr->task_high; i++)
        if (is_sibling(kr, slot, i) && ((kr->tasks[i].security & EXO_SECURITY_STRICT) ||
                                        !leads_to(kr, kr->tasks[slot].filter, kr->tasks[i].filter)))
            return kr->tasks[i].tid;
    return 0;
}

static void give_to_siblings(struct exo_kr *kr, uint32_t slot)
{
    const struct exo_task *mine = &kr->tasks[slot];
    for (uint32_t i = 1; i < kr->task_high; i++) {
        if (!is_sibling(kr, slot, i))
            continue;
        store_release(&kr->tasks[i].filter, mine->filter);
        fetch_or(&kr->tasks[i].security, (uint8_t)(mine->security & EXO_SECURITY_NO_NEW_PRIVS));
    }
}

long exo_filter_add(struct exo_kr *kr, uint32_t slot, const struct exo_bpf *code, uint32_t count,
                    bool sync)
{
    exo_lock_acquire(&kr->filter_lock);
    uint32_t filter = create_locked(kr, kr->tasks[slot].filter, code, count);
    long result = filter == 0 ? -ENOMEM : sync ? (long)find_stranger(kr, slot) : 0;
    if (result == 0)
        store_release(&kr->tasks[slot].filter, (uint16_t)filter);
    if (result == 0 && sync)
        give_to_siblings(kr, slot);
    exo_lock_release(&kr->filter_lock);
    return result;
}

void exo_filter_inherit(struct exo_kr *kr, uint32_t slot, uint32_t from)
{
    const struct exo_task *maker = &kr->tasks[from];
    if (load_acquire(&maker->filter) == 0 && load_relaxed(&maker->security) == 0)
        return; /* should a sibling give it some right now, it will find the new task too */
    exo_lock_acquire(&kr->filter_lock);
    kr->tasks[slot].filter = maker->filter;
    kr->tasks[slot].security = maker->security;
    exo_lock_release(&kr->filter_lock);
}

void exo_filter_swap(struct exo_kr *kr, uint32_t slot, uint32_t other)
{
    struct exo_task *one = &kr->tasks[slot], *two = &kr->tasks[other];
    if (one == two)
        return;
    exo_lock_acquire(&kr->filter_lock);
    uint16_t filter = one->filter;
    uint8_t security = one->security;
    one->filter = two->filter;
    one->security = two->security;
    two->filter = filter;
    two->security = security;
    exo_lock_release(&kr->filter_lock);
}

uint32_t exo_filter_run(const struct exo_kr *kr, uint32_t filter, const struct exo_bpf_data *data)
{
    uint32_t strictest = SECCOMP_RET_ALLOW, nr = (uint32_t)data->nr;
    if (data->arch == AUDIT_ARCH_X86_64 && nr < EXO_CALL_COUNT &&
        (kr->filters[filter].allowed[nr / 64] & 1UL << nr % 64))
        return SECCOMP_RET_ALLOW;
    for (; filter != 0; filter = kr->filters[filter].older) {
        const struct exo_filter *at = &kr->filters[filter];
        uint32_t answer =
            exo_bpf_run(&kr->filter_code[(uint64_t)at->first * EXO_FILTER_UNIT], at->count, data);
        if ((int32_t)(answer & SECCOMP_RET_ACTION_FULL) <
            (int32_t)(strictest & SECCOMP_RET_ACTION_FULL))
            strictest = answer;
    }
    return strictest;
}
