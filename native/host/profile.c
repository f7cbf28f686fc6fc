/* The tallies of `posix-x profile`: each call is counted at the place it was made from, by who called
 * that, by its number and by who else served it. Events come from other processes: they are checked. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "profiling.h"

#define LONG_SHIFT 20

int exo_profile_init(struct exo_profile *profile)
{
    memset(profile, 0, sizeof(*profile));
    profile->state = calloc(1, sizeof(struct profiling));
    profile->sites = calloc(EXO_PROFILE_SITES, sizeof(*profile->sites));
    profile->copies = calloc(EXO_PROFILE_COPIES, sizeof(*profile->copies));
    profile->runs = calloc(EXO_PROFILE_RUNS, sizeof(*profile->runs));
    if (profile->state && profile->sites && profile->copies && profile->runs)
        return 0;
    exo_profile_deinit(profile);
    return -ENOMEM;
}

void exo_profile_deinit(struct exo_profile *profile)
{
    free(profile->state);
    free(profile->sites);
    free(profile->copies);
    free(profile->runs);
    memset(profile, 0, sizeof(*profile));
}

void exo_profile_empty(struct exo_profile *profile)
{
    struct profiling *state = profile->state;
    profile->site_count = profile->copy_count = profile->run_count = 0;
    memset(state->places, 0, sizeof(state->places));
    for (uint32_t i = 0; i < EXO_PROFILE_TASKS; i++)
        state->tasks[i].length = 0;
}

static uint32_t bucket_of(uint64_t cycles)
{
    if (cycles < 8)
        return (uint32_t)cycles;
    uint32_t power = 63U - (uint32_t)__builtin_clzl(cycles);
    uint32_t bucket = (power - 2) * 8 + (cycles >> (power - 3) & 7);
    return bucket < EXO_PROFILE_BUCKETS ? bucket : EXO_PROFILE_BUCKETS - 1;
}

uint64_t exo_profile_bound(uint32_t bucket)
{
    return bucket < 8 ? bucket : (uint64_t)(8 + bucket % 8) << (bucket / 8 - 1);
}

static struct profiled_task *task_of(struct profiling *state, uint32_t tid)
{
    struct profiled_task *it = &state->tasks[tid % EXO_PROFILE_TASKS];
    if (it->tid != tid)
        *it = (struct profiled_task){.tid = tid};
    return it;
}

void exo_profile_enter(struct exo_profile *profile, uint32_t tid, uint32_t space)
{
    struct profiled_task *task = task_of(profile->state, tid);
    task->space = space;
    task->length = 0;
}

/* False: it is malformed. */
static bool parse(const struct exo_drained *event, struct profiled_call *call)
{
    const uint8_t *at = event->data, *end = event->data + event->size;
    memset(call, 0, sizeof(*call));
    if (event->size < sizeof(call->head) || event->size > EXO_DRAIN_EVENT)
        return false;
    memcpy(&call->head, at, sizeof(call->head));
    at += sizeof(call->head);
    if (call->head.nr >= EXO_CALL_COUNT || call->head.argc > 6 || end - at < call->head.argc * 8)
        return false;
    memcpy(call->args, at, call->head.argc * 8UL);
    at += call->head.argc * 8;
    if (call->head.flags & EXO_CALLED_ORIGIN) {
        if ((uint64_t)(end - at) < sizeof(call->origin))
            return false;
        memcpy(&call->origin, at, sizeof(call->origin));
        at += sizeof(call->origin);
        if (call->origin.size > (uint64_t)(end - at) || call->origin.size % 8 != 0)
            return false;
        call->stack = at;
        at += call->origin.size;
    }
    call->pieces = at;
    call->end = end;
    call->cycles = (uint64_t)call->head.spent
                   << (call->head.flags & EXO_CALLED_LONG ? LONG_SHIFT : 0);
    call->failed = call->head.result < 0 && call->head.result >= -4095;
    return true;
}

static struct exo_profile_site *site_of(struct exo_profile *profile,
                                        const struct profiled_call *call)
{
    struct profiling *state = profile->state;
    uint8_t way = call->head.flags & (EXO_CALLED_HOST | EXO_CALLED_LEGACY);
    uint64_t hash = profile_mix(profile_mix(3, call->origin.rip), call->caller);
    hash = profile_mix(hash, (uint64_t)call->space << 32 | (uint64_t)call->head.nr << 8 | way);
    for (uint64_t i = hash >> 17;; i++) {
        uint32_t *place = &state->places[i % SITE_PLACES];
        if (*place == 0) {
            *place = ++profile->site_count;
            struct exo_profile_site *new = &profile->sites[*place - 1];
            memset(new, 0, sizeof(*new));
            new->at = call->origin.rip;
            new->caller = call->caller;
            new->space = call->space;
            new->nr = call->head.nr;
            new->way = way;
            return new;
        }
        struct exo_profile_site *it = &profile->sites[*place - 1];
        if (it->at == call->origin.rip && it->caller == call->caller && it->space == call->space &&
            it->nr == call->head.nr && it->way == way)
            return it;
    }
}

static void tally(struct exo_profile *profile, const struct profiled_call *call)
{
    struct exo_profile_site *site = site_of(profile, call);
    uint64_t ended = call->head.began + call->cycles;
    profile->calls++;
    if (profile->began == 0 || call->head.began < profile->began)
        profile->began = call->head.began;
    profile->ended = ended > profile->ended ? ended : profile->ended;
    site->calls++;
    site->errors += call->failed;
    site->cycles += call->cycles;
    site->most = call->cycles > site->most ? call->cycles : site->most;
    site->buckets[bucket_of(call->cycles)]++;
    if (profile->io[call->head.nr] != 0 && call->head.result > 0)
        site->bytes += (uint64_t)call->head.result;
}

/* Who decodes it need not know that it came with one. */
static void drop_origin(struct exo_drained *event, const struct profiled_call *call)
{
    uint8_t *at = event->data + sizeof(call->head) + call->head.argc * 8UL;
    if (!(call->head.flags & EXO_CALLED_ORIGIN))
        return;
    memmove(at, call->pieces, (size_t)(call->end - call->pieces));
    event->size = (uint32_t)(at + (call->end - call->pieces) - event->data);
    event->data[offsetof(struct exo_called, flags)] &= (uint8_t)~EXO_CALLED_ORIGIN;
}

int exo_profile_take(struct exo_profile *profile, struct exo_drained *event)
{
    struct profiled_call call;
    struct profiled_task *task = task_of(profile->state, event->tid);
    if (event->kind != EXO_RECORD_CALL)
        return EXO_PROFILE_EVENT;
    if (!parse(event, &call))
        return EXO_PROFILE_IDLE;
    if (profile->site_count == EXO_PROFILE_SITES || profile->copy_count == EXO_PROFILE_COPIES ||
        profile->run_count == EXO_PROFILE_RUNS)
        return EXO_PROFILE_FULL;
    call.space = task->space;
    if (exo_profile_unwind(profile, &call) != 0)
        return EXO_PROFILE_RULE;
    if (profile->recording != NULL)
        exo_profile_learn(profile->recording, &call);
    tally(profile, &call);
    int code = exo_profile_move(profile, task, &call);
    if (!profile_has(profile->wanted, call.head.nr))
        return code;
    drop_origin(event, &call);
    return EXO_PROFILE_EVENT;
}

int exo_profile_next(struct exo_profile *profile, struct exo_drain *drain)
{
    for (;;) {
        int code = profile->has_event ? 1 : exo_drain_next(drain);
        if (code <= 0)
            return code;
        profile->has_event = 0;
        code = exo_profile_take(profile, &drain->event);
        if (code == EXO_PROFILE_RULE || code == EXO_PROFILE_FULL)
            profile->has_event = 1; /* once more, when that is done */
        if (code != EXO_PROFILE_IDLE)
            return code;
    }
}
