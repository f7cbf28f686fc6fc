/* Looking for news for a while before sleeping, as long as that has been worth it lately. */
#ifndef EXO_RUNTIME_PATIENCE_H
#define EXO_RUNTIME_PATIENCE_H

#include "area.h"

/* Spins if another CPU has brought news soon lately, then yields if that has helped; true with news. */
bool exo_look(struct exo_patience *patience, bool (*ready)(const void *, int), const void *object,
              int what);

/* The time in units of 1024 cycles, never 0. */
static inline uint32_t exo_moment(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (high << 22 | low >> 10) | 1;
}

#endif
