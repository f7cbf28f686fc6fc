/* Who called the place that a call was made from: frame by frame, by rules of where each one's caller
 * is, which Python reads from .eh_frame when one is missing; up to the first frame of the program's own. */
#include <string.h>

#include <exo/origin.h>

#include "../core/atomic.h"
#include "profiling.h"

#define DEPTH 48
#define UNKNOWN (~0UL)

static struct exo_profile_rule *rule_of(struct profiling *state, uint32_t space, uint64_t pc)
{
    uint64_t hash = profile_mix(profile_mix(1, pc), space);
    for (uint64_t i = hash >> 17;; i++) {
        struct exo_profile_rule *rule = &state->rules[i % EXO_PROFILE_RULES];
        if (!rule->used || (rule->pc == pc && rule->space == space))
            return rule;
    }
}

void exo_profile_add(struct exo_profile *profile, const struct exo_profile_rule *rule)
{
    struct profiling *state = profile->state;
    if (state->rule_count >= EXO_PROFILE_RULES / 2) { /* they are asked for again */
        memset(state->rules, 0, sizeof(state->rules));
        state->rule_count = 0;
    }
    struct exo_profile_rule *place = rule_of(state, rule->space, rule->pc);
    state->rule_count += !place->used;
    *place = *rule;
    place->used = 1;
}

/* A word of the stack that came with the call. */
static bool word_at(struct profiled_call *call, uint64_t at, uint64_t *word)
{
    uint64_t offset = at - call->origin.rsp;
    if (offset >= call->origin.size || call->origin.size - offset < 8) {
        call->cut_short = true;
        return false;
    }
    call->depth = offset + 8 > call->depth ? offset + 8 : call->depth;
    memcpy(word, call->stack + offset, 8);
    return true;
}

/* False: that frame's caller is not known. */
static bool step(struct profiled_call *call, const struct exo_profile_rule *rule, uint64_t *pc,
                 uint64_t *rsp, uint64_t *rbp)
{
    if (rule->base == 0 || (rule->base == 2 && *rbp == UNKNOWN))
        return false;
    uint64_t cfa = (rule->base == 1 ? *rsp : *rbp) + (uint64_t)(int64_t)rule->cfa;
    if (!word_at(call, cfa - 8, pc))
        return false;
    if (rule->rbp_at != 0 && !word_at(call, cfa + (uint64_t)(int64_t)rule->rbp_at, rbp))
        *rbp = UNKNOWN;
    *rsp = cfa;
    return true;
}

int exo_profile_unwind(struct exo_profile *profile, struct profiled_call *call)
{
    uint64_t pc = call->origin.rip, rsp = call->origin.rsp, rbp = call->origin.rbp;
    call->caller = call->depth = 0;
    call->cut_short = false;
    if (call->origin.rip == 0)
        return 0;
    for (uint32_t depth = 0; depth < DEPTH; depth++) {
        const struct exo_profile_rule *rule = rule_of(profile->state, call->space, pc);
        if (!rule->used) {
            profile->asked_pc = pc;
            profile->asked_space = call->space;
            return EXO_PROFILE_RULE;
        }
        if (rule->own) {
            call->caller = depth == 0 ? 0 : pc;
            return 0;
        }
        if (!step(call, rule, &pc, &rsp, &rbp))
            return 0;
    }
    return 0;
}

void exo_profile_learn(struct exo_recording *recording, const struct profiled_call *call)
{
    uint64_t first, limit = recording->stack_limit;
    if (call->origin.size < 8)
        return;
    memcpy(&first, call->stack, 8);
    uint64_t key = exo_depth_key(call->origin.rip, first);
    uint64_t *place = exo_depth_at(recording, key), known = load_relaxed(place);
    uint64_t bytes = call->cut_short && call->origin.size < limit ? limit : call->depth;
    bool same = ((known ^ key) & ~EXO_DEPTH_MASK) == 0;
    if (same && (known & EXO_DEPTH_MASK) > bytes / 8)
        return;
    store_release(place, (key & ~EXO_DEPTH_MASK) | (bytes / 8 + 1));
}
