/* Milliseconds of a loop that only computes. */
#include "clock.h"

int main(void)
{
    double began = now_us();
    volatile uint64_t sink;
    uint64_t x = 88172645463325252u;
    for (long i = 0; i < 400000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    sink = x;
    (void)sink;
    printf("%.2f\n", (now_us() - began) / 1e3);
    return 0;
}
