/* How long to look before sleeping, by what it has brought lately. */
#ifndef EXO_RUNTIME_PATIENCE_H
#define EXO_RUNTIME_PATIENCE_H

#include "area.h"

/* Spins if another CPU has brought news soon lately, then yields if that has helped; true with news. */
bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what);
/* The same without yielding: for what the host does as fast as a yield. */
bool exo_look_awake(struct exo_patience *patience, bool (*ready)(const void *, int),
                    const void *object, int what);
/* It was false, and the caller has slept since then, until it was woken by news. */
void exo_slept(struct exo_patience *patience, uint32_t since);

/* TSC in units of 1024 cycles, never 0. */
static inline uint32_t exo_moment(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (high << 22 | low >> 10) | 1;
}

#endif
