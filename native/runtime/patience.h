/* How long to look before sleeping, by what it has brought lately. */
#ifndef EXO_RUNTIME_PATIENCE_H
#define EXO_RUNTIME_PATIENCE_H

#include "area.h"

#define EXO_SPIN_LIMIT 2048 /* pauses */
#define EXO_YIELD_LIMIT 16
#define EXO_TRY_EVERY 32

/* Spins if another CPU has brought news soon lately, then yields if that has helped; true with news. */
bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what);

/* TSC in units of 1024 cycles, never 0. */
static inline uint32_t exo_moment(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (high << 22 | low >> 10) | 1;
}

/* What to spend this time, of what is worth limit at most: nothing, but for a short try now and then,
 * where it has brought nothing lately. */
static inline uint32_t exo_budget(uint32_t worth, uint32_t limit, uint32_t looks)
{
    if (worth < limit / 16)
        return looks % EXO_TRY_EVERY == 0 ? limit / 8 : 0;
    return worth < limit ? worth : limit;
}

/* The same as left: news has come when i of spent had gone; spent, if none has. */
static inline uint32_t exo_learnt(uint32_t i, uint32_t spent, uint32_t limit)
{
    return i < spent ? (i * 4 < limit ? i * 4 + limit / 8 : limit) : spent / 2;
}

#endif
