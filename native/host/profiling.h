/* What the files of struct exo_profile share. */
#ifndef EXO_HOST_PROFILING_H
#define EXO_HOST_PROFILING_H

#include <stdbool.h>

#include "profile.h"

#define SITE_PLACES (2 * EXO_PROFILE_SITES)

/* A buffer that a call has filled, and nobody has written yet. */
struct filled {
    uint64_t start, left;
    uint64_t at, caller, cycles;
    uint32_t space;
    int32_t fd;
    uint16_t nr;
    uint8_t size, counted; /* of data; its read is in a pattern's sum */
    uint8_t data[EXO_PROFILE_DATA];
};

struct profiled_task {
    uint32_t tid, space;
    int32_t fd;      /* of the small writes in a row */
    uint32_t length; /* 0: none */
    uint32_t run;    /* from the second on: index in runs */
    uint32_t asked;  /* of the first: */
    uint64_t cycles, bytes;
};

struct profiling {
    uint32_t places[SITE_PLACES]; /* index in sites + 1, by hash */
    uint32_t rule_count;
    struct exo_profile_rule rules[EXO_PROFILE_RULES];
    struct profiled_task tasks[EXO_PROFILE_TASKS];
    struct filled filled[EXO_PROFILE_BUFFERS];
};

/* One call, taken apart. */
struct profiled_call {
    struct exo_called head;
    uint64_t args[6];
    struct exo_origin origin;
    const uint8_t *stack;
    const uint8_t *pieces, *end;
    uint64_t cycles, caller;
    uint64_t depth; /* bytes of stack that were looked at */
    bool cut_short; /* there should have been more */
    uint32_t space;
    bool failed;
};

static inline uint64_t profile_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

static inline bool profile_has(const uint64_t *bits, uint32_t nr)
{
    return bits[nr / 64] >> nr % 64 & 1;
}

/* profileunwind.c: 0, and call->caller; EXO_PROFILE_RULE if one is missing. */
int exo_profile_unwind(struct exo_profile *profile, struct profiled_call *call);
/* Has the next call from there come with as much stack as this one took. */
void exo_profile_learn(struct exo_recording *recording, const struct profiled_call *call);

/* profileio.c: EXO_PROFILE_COPY or _RUN if there is a new one, else 0. There is room for one of each. */
int exo_profile_move(struct exo_profile *profile, struct profiled_task *task,
                     const struct profiled_call *call);

#endif
