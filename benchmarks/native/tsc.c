/* How many TSC cycles a nanosecond has: a line per try. */
#include "bench/clock.h"

int main(void)
{
    for (int i = 0; i < 5; i++) {
        uint64_t began = cycles();
        double us = now_us(), passed;
        do
            passed = now_us() - us;
        while (passed < 10000);
        printf("%.6f\n", (double)(cycles() - began) / passed / 1e3);
    }
    return 0;
}
