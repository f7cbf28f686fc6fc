/* What benchmark guests share: clocks, and printing samples in one write at the end. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline uint64_t cycles(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Times `call` in `batches` batches of 100 and prints the cycles per call of each batch. */
#define PRINT_CYCLES(batches, call)                                                                \
    do {                                                                                           \
        static double samples_[batches];                                                           \
        for (int i_ = 0; i_ < 1000; i_++)                                                          \
            call;                                                                                  \
        for (int i_ = 0; i_ < (batches); i_++) {                                                   \
            uint64_t began_ = cycles();                                                            \
            for (int j_ = 0; j_ < 100; j_++)                                                       \
                call;                                                                              \
            samples_[i_] = (double)(cycles() - began_) / 100;                                      \
        }                                                                                          \
        for (int i_ = 0; i_ < (batches); i_++)                                                     \
            printf("%.1f\n", samples_[i_]);                                                        \
    } while (0)

#endif
